"""Merge: one plain encoder of several, in closed form and without training.

For every linear layer that a member changes, by Dᵢ = Wᵢ − W₀, the merged encoder changes it by

    D = (Σ Dᵢ Gᵢ) (Σ Gᵢ + λ G_r + ε I)⁻¹

Gᵢ = Σ x xᵀ over the layer's inputs x in member i, when it reads prompts of its own concepts; G_r is
the same in the base, for captions of everything else. So D minimises

    Σᵢ ‖D xᵢ − Dᵢ xᵢ‖² + λ ‖D x_r‖² + ε ‖D‖²

It does to a member's prompts what that member does, and to all others as little as it can: RegMean
(Jin et al. 2023, arXiv 2212.09849) with the term that preserves other prompts in UCE (Gandikota et
al. 2024, arXiv 2308.14761). A bias that a member changes is one more column of Dᵢ, and x then ends
in 1. The result is cut to a rank by its singular values.

The formula sees the members' prompts, and not the attackers that members were trained against. What
the merged encoder has lost by that is measured (`unlearn.methods.resistance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from encoders import Card, Concept, Encoder, EncoderInvalid, low_rank
from encoders.text_encoder import TextEncoder
from unlearn.errors import TaskInvalid
from unlearn.methods.anchors import concept_captions
from unlearn.methods.resistance import STEPS, Resistance, resistances, task_of
from unlearn.methods.sampling import draw
from unlearn.prompts import names_of, retained_captions
from unlearn.settings import MAX_RANK

if TYPE_CHECKING:
    from video.models.backbone import Backbone

METHOD = "merge"
RIDGE = 0.1
"""Weight λ of the captions of everything else."""
EPSILON = 1e-4
"""Weight ε, as a share of the mean of the diagonal that it is added to."""
MAX_OWN, MAX_REST = 64, 256
"""Captions of each concept, and of everything else, drawn at random."""
_AT_A_TIME = 32


@dataclass(frozen=True)
class _Layer:
    """A linear layer that a member changes: y = W x + b."""

    weight: str
    """Canonical name of W."""
    bias: str | None
    """Canonical name of b, if a member changes it."""
    module: nn.Module

    def change(self, base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> Tensor:
        """Return Dᵢ of one member in float32: (out, in), with b one more column."""
        a, b = (overrides.get(self.weight + factor) for factor in (low_rank.A, low_rank.B))
        original = base[self.weight]
        if a is not None and b is not None:
            found = b.to(original.device).float() @ a.to(original.device).float()
        else:
            found = _difference(base, overrides, self.weight)
        if self.bias is None:
            return found
        return torch.cat([found, _difference(base, overrides, self.bias).unsqueeze(1)], 1)


def merge(
    members: Sequence[Encoder], backbone: Backbone, *, encoder_id: str, rank: int | None = None
) -> Encoder:
    """Make one plain encoder that forgets what all the members forget.

    It has no trigger: it is used for every prompt. Its settings name the members, and say what
    attackers read of each concept in the member alone and in the merged encoder.

    Args:
        members: Two encoders or more, of this backbone's base. Their triggers are not used.
        backbone: Its text encoder is the base. It is not changed.
        encoder_id: The new encoder's id.
        rank: Rank of the factors; None: as many as the members' factors have together, and whole
            matrices where a member has one.

    Raises:
        TaskInvalid: There are fewer than two members, or the rank is below 1 or above
            `MAX_RANK`.
        EncoderInvalid: A member was made for another base, or changes more than linear layers.
    """
    base = backbone.text_encoder
    _check(members, base, rank)
    layers = _layers(members, base)
    wanted, grams = _sums(members, layers, backbone)
    overrides: dict[str, Tensor] = {}
    for layer in layers:
        change = _solve(wanted.pop(layer.weight), grams.pop(layer.weight))
        width = rank or _common_rank(members, layer.weight)
        overrides |= _stored(layer, change, base.parameters(), width)
    overrides = base.effective(overrides)
    found = resistances(members, overrides, backbone)
    return Encoder.of(
        base,
        overrides,
        id=encoder_id,
        concepts=_together(members),
        method=METHOD,
        settings=_settings(members, rank, found),
        seed=0,
    )


def _check(members: Sequence[Encoder], base: TextEncoder, rank: int | None) -> None:
    if len({member.card.identity for member in members}) < 2:
        raise TaskInvalid("A merge needs at least two encoders: name another.", param="members")
    if rank is not None and not 1 <= rank <= MAX_RANK:
        raise TaskInvalid(f"rank must be 1 to {MAX_RANK}, not {rank}.", param="rank")
    for member in members:
        if member.card.base != base.fingerprint:
            raise EncoderInvalid(
                f"Encoder {member.card.id!r} was made for another text encoder: its base is "
                f"{member.card.base}, the one here is {base.fingerprint}.",
                param="members",
            )


def _layers(members: Sequence[Encoder], base: TextEncoder) -> list[_Layer]:
    """Return the linear layers that at least one member changes, in the base's order."""
    by_weight: dict[str, nn.Module] = {}
    for name, module in base.module.named_modules():
        if isinstance(module, nn.Linear):
            by_weight[base.names[f"{name}.weight"]] = module
    biases = {
        base.names[f"{name}.bias"]: base.names[f"{name}.weight"]
        for name, module in base.module.named_modules()
        if isinstance(module, nn.Linear) and module.bias is not None  # pyright: ignore[reportUnnecessaryComparison]
    }
    changed: dict[str, str | None] = {}
    for member in members:
        for parameter in map(low_rank.parameter_of, member.overrides):
            if parameter in biases:
                changed[biases[parameter]] = parameter
            elif parameter in by_weight:
                changed.setdefault(parameter, None)
            else:
                raise EncoderInvalid(
                    f"Encoder {member.card.id!r} changes {parameter!r}, and only the weights and "
                    "biases of linear layers can be merged: leave it out.",
                    param="members",
                )
    return [_Layer(name, changed[name], by_weight[name]) for name in by_weight if name in changed]


def _sums(
    members: Sequence[Encoder], layers: Sequence[_Layer], backbone: Backbone
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return Σ Dᵢ Gᵢ and Σ Gᵢ + λ G_r of every layer, by the name of its weight."""
    base = backbone.text_encoder.parameters()
    rest = _rest(members, backbone)
    grams = {name: RIDGE * gram for name, gram in _grams(layers, rest, None, backbone).items()}
    wanted: dict[str, Tensor] = {}
    for member in members:
        own = _grams(layers, _own(member.card, backbone), member.overrides, backbone)
        for layer in layers:
            gram = own.pop(layer.weight)
            product = layer.change(base, member.overrides) @ gram
            wanted[layer.weight] = wanted.get(layer.weight, 0) + product
            grams[layer.weight] += gram
    return wanted, grams


@torch.no_grad()
def _grams(
    layers: Sequence[_Layer],
    prompts: Sequence[str],
    overrides: Mapping[str, Tensor] | None,
    backbone: Backbone,
) -> dict[str, Tensor]:
    """Return Σ x xᵀ of every layer over all positions of the prompts, as an encoder reads them."""
    found: dict[str, Tensor] = {}

    def add(layer: _Layer, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].flatten(0, -2).float()
        if layer.bias is not None:
            x = torch.cat([x, x.new_ones(len(x), 1)], 1)
        found[layer.weight] = found.get(layer.weight, 0) + x.T @ x

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.module.register_forward_pre_hook(partial(add, layer)).remove)
        for start in range(0, len(prompts), _AT_A_TIME):
            tokens = backbone.tokenize(prompts[start : start + _AT_A_TIME])
            backbone.text_encoder.encode(tokens, overrides)
    return found


def _solve(wanted: Tensor, gram: Tensor) -> Tensor:
    """Return D = (Σ Dᵢ Gᵢ) (Σ Gᵢ + λ G_r + ε I)⁻¹ in float32."""
    total = gram.double()
    total.diagonal().add_(EPSILON * total.diagonal().mean())
    return torch.linalg.solve(total, wanted.double(), left=False).float()


def _stored(
    layer: _Layer, change: Tensor, base: Mapping[str, Tensor], rank: int | None
) -> dict[str, Tensor]:
    """Return a layer's overrides: its bias whole, its weight as factors, or whole for None."""
    found: dict[str, Tensor] = {}
    if layer.bias is not None:
        found[layer.bias] = base[layer.bias].float() + change[:, -1]
        change = change[:, :-1]
    if rank is None:
        return found | {layer.weight: base[layer.weight].float() + change}
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    u, s, v = u[:, :rank], s[:rank].sqrt(), v[:rank]
    return found | {layer.weight + low_rank.A: s[:, None] * v, layer.weight + low_rank.B: u * s}


def _common_rank(members: Sequence[Encoder], weight: str) -> int | None:
    """Return the sum of the ranks of the members' factors; None if one has the matrix whole."""
    if any(weight in member.overrides for member in members):
        return None
    factors = [member.overrides.get(weight + low_rank.A) for member in members]
    return sum(len(factor) for factor in factors if factor is not None) or None


def _own(card: Card, backbone: Backbone) -> list[str]:
    """Return the prompts that stand for a member's concepts."""
    task = task_of(card)
    return [
        prompt
        for concept in card.concepts
        for prompt in _drawn([c.prompt for c in concept_captions(concept, task, backbone)], MAX_OWN)
    ]


def _rest(members: Sequence[Encoder], backbone: Backbone) -> list[str]:
    """Return captions that name none of the members' concepts, and the empty prompt."""
    book = backbone.prompts
    names = [name for concept in _together(members) for name in names_of(concept, book)]
    return [*_drawn(retained_captions(book, names), MAX_REST), ""]


def _drawn(prompts: Sequence[str], most: int) -> list[str]:
    generator = torch.Generator("cpu").manual_seed(0)
    return [prompts[i] for i in draw(len(prompts), most, generator)]


def _together(members: Iterable[Encoder]) -> tuple[Concept, ...]:
    """Return the members' concepts, each once, in the order of the members."""
    found: dict[tuple[str, str], Concept] = {}
    for member in members:
        for concept in member.card.concepts:
            found.setdefault((concept.name, concept.kind), concept)
    return tuple(found.values())


def _difference(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor], name: str) -> Tensor:
    original = base[name].float()
    if name not in overrides:
        return torch.zeros_like(original)
    return overrides[name].to(original) - original


def _settings(
    members: Sequence[Encoder], rank: int | None, found: Sequence[Resistance]
) -> dict[str, Any]:
    return {
        "members": [{"id": m.card.id, "identity": m.card.identity} for m in members],
        "rank": rank,
        "ridge": RIDGE,
        "attack_steps": STEPS,
        "resistance": [one.to_json() for one in found],
    }
