"""An attacker inside the optimisation: free tokens that try to mean the concept all the same.

Whoever may choose an input embedding looks for a token that no word has, but that the encoder reads
as the concept. The encoder is trained against a few such tokens while they are being looked for:
both sides take their step on one and the same forward pass ("free" adversarial training: Shafahi et
al. 2019, arXiv 1904.12843), all of it at the encoder's output, without a denoiser (AdvUnlearn's
lower level has one: Zhang et al. 2024, arXiv 2405.15234).

An attacker's token is no longer than the longest word's. A much longer one drowns what the layers
add to it and goes through any text encoder as it is; whoever may send such a thing has no need of
the encoder at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import low_rank
from unlearn.fewshot import Caption, draw

if TYPE_CHECKING:
    from video.backbone import Backbone

ATTACKERS = 8
"""At work at a time."""
LEARNING_RATE = 0.15
"""Of the attackers' Adam, as a share of the mean length of the vocabulary's rows."""
RESTARTS = 25
"""One attacker begins anew every so many steps, on average: another way in is tried."""
SENTENCES = 32
"""Of the concept's captions so many, drawn at random, are used."""
REACH = 1.2
"""The nearer an attacker is to the concept, the more it counts; from so many times the distance of
the anchor on, not at all: it has been beaten, and would only pull other words along."""
ANOTHER = 2.0
"""Nor does it count once it is `REACH · ANOTHER` times nearer to another concept: it is read as
that one, which is to stay."""


class Adversary:
    """The attackers of one concept and the loss that they cause.

    Args:
        captions: the concept's; in those that call it by its own name, an attacker's tokens can
            stand in the name's place, as many as the name has.
        phrases: how that name stands in a sentence, and then the names of other concepts of the
            kind.
        backbone: its text encoder is attacked.
        generator: on the CPU; where the attackers begin, and which captions they use.
    """

    def __init__(
        self,
        captions: Sequence[Caption],
        phrases: Sequence[str],
        backbone: Backbone,
        generator: torch.Generator,
    ) -> None:
        self._encoder = backbone.text_encoder
        self._random = generator
        own = [caption for caption in captions if caption.name == captions[0].name]
        own = [own[i] for i in draw(len(own), SENTENCES, generator)]
        name = tokens_of(captions[0].name, backbone)
        prompts = backbone.tokenize([caption.prompt for caption in own])
        found = [find(name, row) for row in prompts.tolist()]
        whole = [i for i, place in enumerate(found) if place is not None]  # the rest was cut
        own, prompts = [own[i] for i in whole], prompts[whole]
        self._prompts, self._places = prompts, [place for place in found if place is not None]
        with torch.no_grad():
            self._concept = self._encoder.encode(prompts)
            self._anchor = self._encoder.encode(backbone.tokenize([c.anchor for c in own]))
            self._apart = (self._concept - self._anchor).square().mean()
            said, *rest = phrases
            others = [[c.prompt.replace(said, other) for c in own] for other in rest]
            self._others = [self._encoder.encode(backbone.tokenize(each)) for each in others]
        self._vocabulary = self._encoder.parameters()[self._encoder.token_embedding]
        # Carriers: rows that stand in none of the captions, overwritten by the attackers'.
        free = sorted(set(range(len(self._vocabulary))) - set(prompts.unique().tolist()))
        self._carriers = torch.tensor(free[: ATTACKERS * len(name)], device=prompts.device)
        self._carriers = self._carriers.view(ATTACKERS, len(name))
        self._tokens = self._begin(self._carriers.shape).requires_grad_()
        lengths = self._vocabulary.norm(dim=1)
        self._longest = lengths.max()
        self._adam = torch.optim.Adam([self._tokens], lr=LEARNING_RATE * lengths.mean().item())

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """The mean over the attackers of w ‖τ_φ(y′) − τ₀(a)‖², y′ being y with an attacker's token
        in the name's place, and w between 0 and 1 by how much it is read as the concept:

            w = REACH − ‖τ_φ(y′) − τ₀(y)‖² / min(‖τ₀(y) − τ₀(a)‖², ANOTHER · min ‖τ_φ(y′) − τ₀(o)‖²)

        with o for y with another concept in its place. The attackers move on: they minimise
        ‖τ_φ(y′) − τ₀(y)‖².
        """
        if torch.rand((), generator=self._random) < 1 / RESTARTS:
            [one] = draw(ATTACKERS, 1, self._random)
            self._tokens.data[one] = self._begin(self._carriers[one].shape)
        to_concept, to_anchor, to_others = self._attack(overrides)
        (self._tokens.grad,) = torch.autograd.grad(
            to_concept.sum(), [self._tokens], retain_graph=True
        )
        self._adam.step()
        with torch.no_grad():  # no longer than a word: see the module's docstring
            self._tokens *= (self._longest / self._tokens.norm(dim=-1, keepdim=True)).clamp(max=1)
        far = torch.minimum(self._apart, ANOTHER * to_others)
        near = (REACH - to_concept.detach() / far).clamp(0, 1)
        return (near * to_anchor).mean()

    @torch.no_grad()
    def distance(self, overrides: Mapping[str, Tensor]) -> float:
        """The attackers' mean square distance from the concept, in some of its captions."""
        return float(self._attack(overrides)[0].mean())

    def _attack(self, overrides: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Each attacker's distances from concept, anchor and the nearest other concept (infinite if
        there is none), in a caption of its own."""
        pool = len(self._prompts)
        chosen = torch.randint(pool, (ATTACKERS,), generator=self._random).tolist()
        rows = self._prompts[chosen].clone()
        for row, carriers, i in zip(rows, self._carriers, chosen, strict=True):
            row[self._places[i] : self._places[i] + len(carriers)] = carriers
        reached = self._encoder.encode(rows, self._laid(overrides)).float()
        to_concept = (reached - self._concept[chosen]).square().mean((1, 2))
        to_anchor = (reached - self._anchor[chosen]).square().mean((1, 2))
        to_others = torch.full_like(to_concept, torch.inf)
        for other in self._others:
            distance = (reached.detach() - other[chosen]).square().mean((1, 2))
            to_others = torch.minimum(to_others, distance)
        return to_concept, to_anchor, to_others

    def _begin(self, shape: torch.Size) -> Tensor:
        """Somewhere near words: (*shape, D)."""
        picked = torch.randint(len(self._vocabulary), shape, generator=self._random)
        words = self._vocabulary[picked].float()
        noise = torch.randn(words.shape, generator=self._random).to(words.device)
        return words + 0.3 * self._vocabulary.std() * noise

    def _laid(self, overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The overrides with the attackers' rows in the token embedding, be it trained or not."""
        name = self._encoder.token_embedding
        trained = {n: t for n, t in overrides.items() if low_rank.parameter_of(n) == name}
        matrix = {name: self._vocabulary, **low_rank.meet({name: self._vocabulary}, trained)}[name]
        rest = {n: t for n, t in overrides.items() if n not in trained}
        tokens = self._tokens.to(matrix.dtype)
        return {**rest, name: matrix.index_put((self._carriers,), tokens)}


def tokens_of(name: str, backbone: Backbone) -> list[int]:
    """The tokens of a name as it stands in a sentence, without start, end and padding."""
    row, empty = backbone.tokenize([name])[0], backbone.tokenize([""])[0]
    start = int((row != empty).nonzero()[0])
    count = backbone.prompt_tokens(name) - backbone.prompt_tokens("")
    return row[start : start + count].tolist()


def find(name: Sequence[int], row: Sequence[int]) -> int | None:
    """Where a name's tokens begin in a prompt's; None if they are not in it."""
    starts = range(len(row) - len(name) + 1)
    return next((i for i in starts if list(row[i : i + len(name)]) == list(name)), None)
