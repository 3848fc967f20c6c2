"""Ways to forget a set of concepts: each makes one intervention, with the seconds it took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import cast

import torch
from torch import Tensor

from benchmarks.forgetting.experiment import Experiment, source_mark
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import NO_PICTURES, OURS, encoder_of
from encoders import Concept, Encoder, Kind
from encoders.card import decisive_hash
from encoders.composition import Member
from encoders.digest import fingerprint
from unlearn import UnlearnSettings
from unlearn.methods.merge import merge
from video.models.backbone import Backbone

Members = Sequence[tuple[str, Kind]]
"""A set of concepts, as (name, kind)."""
Maker = Callable[[Experiment, Members], Intervention]
"""Makes one intervention that forgets all of a set. Its tensors (`Intervention.tensors`) identify
it, and are counted in bytes."""


@dataclass(frozen=True)
class ComposedSet(Intervention):
    """Encoders that were made apart, each used for the prompts that open it."""

    singles: Mapping[str, Intervention] = field(default_factory=dict[str, Intervention])
    """The encoders, by concept."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The members' overrides and their triggers, by concept and name."""
        found: dict[str, Tensor] = {}
        for concept, one in self.singles.items():
            found |= {f"{concept}/{name}": tensor for name, tensor in one.tensors.items()}
            assert one.trigger is not None
            for part in one.trigger.concepts:
                found[f"{concept}/trigger"] = part.matrix() / part.theta**0.5
                if part.length is not None:
                    found[f"{concept}/length"] = torch.tensor([part.length])
        return found

    @cached_property
    def members(self) -> list[Member]:
        """The encoders as members of a set."""
        return [member_of(one) for one in self.singles.values()]

    def embed(self, backbone: Backbone, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as the server does for a composite: (B,L,D)."""
        encoder = backbone.prompt_encoder(self.members)
        return torch.cat([encoder.encode(prompt) for prompt in prompts])


def closed_form(name: str, edit: Callable[[Backbone, Members], Mapping[str, Tensor]]) -> Maker:
    """Return the maker of a closed-form edit of the denoiser."""

    def made(experiment: Experiment, members: Members) -> Intervention:
        began = perf_counter()
        weights = edit(experiment.backbone, members)
        seconds = perf_counter() - began
        return Intervention(name, _whole(members), "several", denoiser=weights, seconds=seconds)

    return made


def single(experiment: Experiment, concept: str, kind: Kind) -> Intervention:
    """Return one concept's encoder, made by our method at its defaults."""
    name = f"{OURS}-{source_mark(OURS)}-{concept}"
    return experiment.once(
        name, OURS, concept, kind, lambda: _trained(experiment, [(concept, kind)])
    )


def composed_of(experiment: Experiment, members: Members) -> Intervention:
    """Return the members' encoders as a composite; its seconds are those of making all of them."""
    singles = {concept: single(experiment, concept, kind) for concept, kind in members}
    seconds = sum(one.seconds for one in singles.values())
    return ComposedSet("composed", _whole(members), "several", seconds=seconds, singles=singles)


def merged_of(experiment: Experiment, members: Members) -> Intervention:
    """Merge the members' encoders in closed form.

    Its seconds are those of the merge with its measuring of attackers, without making the members.
    """
    if len(members) == 1:
        return replace(single(experiment, *members[0]), method="merged", trigger=None, seconds=0.0)
    encoders = [
        _encoder(experiment, single(experiment, *member), [member], f"no-{member[0]}")
        for member in members
    ]
    began = perf_counter()
    made = merge(encoders, experiment.backbone, encoder_id="merged")
    seconds = perf_counter() - began
    return Intervention(
        "merged", _whole(members), "several", overrides=made.overrides, seconds=seconds
    )


def at_once(experiment: Experiment, members: Members) -> Intervention:
    """Make one encoder of all members, which take turns in its training."""
    if len(members) == 1:
        return replace(single(experiment, *members[0]), method="at once", trigger=None)
    name = f"at-once-{source_mark(OURS)}-{len(members)}-{members[-1][0]}"
    made = experiment.once(
        name, "at once", _whole(members), "several", lambda: _trained(experiment, members)
    )
    return replace(made, trigger=None)


def chain(experiment: Experiment, members: Members) -> Intervention:
    """Make encoders one after the other, each from its parent; the last one forgets all members."""
    if len(members) == 1:
        return replace(single(experiment, *members[0]), method="chain", trigger=None)

    def link() -> Intervention:
        before = chain(experiment, members[:-1])
        parent = _encoder(experiment, before, members[:-1], "parent")
        made = _trained(experiment, members[-1:], parent)
        return replace(made, seconds=before.seconds + made.seconds)

    name = f"chain-{source_mark(OURS)}-{len(members)}-{members[-1][0]}"
    made = experiment.once(name, "chain", _whole(members), "several", link)
    return replace(made, trigger=None)


def member_of(made: Intervention) -> Member:
    """Return one concept's encoder as a member of a set."""
    assert made.overrides is not None
    assert made.trigger is not None
    concept = Concept(name=made.concept, kind=cast(Kind, made.kind))
    identity = decisive_hash(fingerprint(made.overrides), made.trigger, [concept])
    return Member(identity, made.overrides, made.trigger.detector(), (concept,))


def _trained(
    experiment: Experiment, members: Members, parent: Encoder | None = None
) -> Intervention:
    given = [
        NO_PICTURES if kind == "motion" else experiment.few_shots(name, kind)
        for name, kind in members
    ]
    return encoder_of(experiment.backbone, UnlearnSettings(), members, given, parent=parent)


def _encoder(
    experiment: Experiment, made: Intervention, members: Members, encoder_id: str
) -> Encoder:
    """Return an intervention of ours as an encoder with a card."""
    assert made.overrides is not None
    return Encoder.of(
        experiment.backbone.text_encoder,
        made.overrides,
        id=encoder_id,
        concepts=tuple(Concept(name=concept, kind=kind) for concept, kind in members),
        method=OURS,
        seed=0,
    )


def _whole(members: Members) -> str:
    return ", ".join(concept for concept, _ in members)
