"""An attacker inside the optimisation: free tokens that try to mean the concept all the same.

Whoever may choose an input embedding looks for a token that no word has, but that the encoder reads
as the concept. The encoder is trained against a few such tokens while they are being looked for:
both sides take their step on one and the same forward pass ("free" adversarial training: Shafahi et
al. 2019, arXiv 1904.12843), all of it at the encoder's output, without a denoiser (AdvUnlearn's
lower level has one: Zhang et al. 2024, arXiv 2405.15234).
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

TOKENS = 8
"""Attackers at work at a time."""
LEARNING_RATE = 0.05
"""Of the attackers' Adam, where a vocabulary's rows are `SCALE` long; in proportion elsewhere."""
SCALE = 0.36
RESTARTS = 25
"""One attacker begins anew every so many steps, on average: another way in is tried."""
SENTENCES = 32
"""Of the concept's captions so many, drawn at random, are used."""
NEAR = 1.5
"""An attacker counts as long as its distance from the concept is at most so many times that from
the anchor: beyond that it has been beaten, and would only pull other words along."""


class Adversary:
    """The attackers of one concept and the loss that they cause.

    Args:
        captions: the concept's; in each an attacker's token can stand in the name's place.
        backbone: its text encoder is attacked.
        generator: on the CPU; where the attackers begin, and which captions they use.
    """

    def __init__(
        self, captions: Sequence[Caption], backbone: Backbone, generator: torch.Generator
    ) -> None:
        self._encoder = backbone.text_encoder
        self._random = generator
        captions = [captions[i] for i in draw(len(captions), SENTENCES, generator)]
        self._vocabulary = self._encoder.parameters()[self._encoder.token_embedding]
        empty = backbone.tokenize([""])[0]
        count = min(TOKENS, len(captions))
        prompts = backbone.tokenize([caption.prompt for caption in captions])
        # Carriers: rows that stand in none of the captions, overwritten by the attackers.
        free = sorted(set(range(len(self._vocabulary))) - set(prompts.unique().tolist()))
        self._carriers = torch.tensor(free[:count], device=prompts.device)
        places = {
            i: _place(row, tokens_of(caption.name, backbone), int(empty[-1]))
            for i, (row, caption) in enumerate(zip(prompts, captions, strict=True))
        }
        self._rows = {i: place for i, place in places.items() if place is not None}
        with torch.no_grad():
            self._concept = self._encoder.encode(prompts)
            self._anchor = self._encoder.encode(backbone.tokenize([c.anchor for c in captions]))
        self._tokens = self._begin(count).requires_grad_()
        norm = self._vocabulary.norm(dim=1).mean().item()
        self._adam = torch.optim.Adam([self._tokens], lr=LEARNING_RATE * norm / SCALE)

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """The mean over the attackers of ‖τ_φ(y′) − τ₀(a)‖² for those that are near the concept;
        y′ is y with an attacker's token in the name's place. The attackers move on: they minimise
        ‖τ_φ(y′) − τ₀(y)‖².
        """
        if torch.rand((), generator=self._random) < 1 / RESTARTS:
            [one] = draw(len(self._tokens), 1, self._random)
            self._tokens.data[one] = self._begin(1)[0]
        to_concept, to_anchor = self._attack(overrides)
        (self._tokens.grad,) = torch.autograd.grad(
            to_concept.sum(), [self._tokens], retain_graph=True
        )
        self._adam.step()
        near = (to_concept <= NEAR * to_anchor).detach()
        return (to_anchor * near).mean()

    @torch.no_grad()
    def distance(self, overrides: Mapping[str, Tensor]) -> float:
        """The attackers' mean square distance from the concept, in some of its captions."""
        return float(self._attack(overrides)[0].mean())

    def _attack(self, overrides: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Each attacker's distances from concept and anchor, in a caption of its own."""
        usable = list(self._rows)
        chosen = [usable[i] for i in draw(len(usable), len(self._tokens), self._random)]
        rows = [
            torch.where(self._rows[i] == CARRIER, carrier, self._rows[i])
            for i, carrier in zip(chosen, self._carriers, strict=False)
        ]
        reached = self._encoder.encode(torch.stack(rows), self._laid(overrides)).float()
        to_concept = (reached - self._concept[chosen]).square().mean((1, 2))
        to_anchor = (reached - self._anchor[chosen]).square().mean((1, 2))
        return to_concept, to_anchor

    def _begin(self, count: int) -> Tensor:
        """Somewhere near a word: (count, D)."""
        words = self._vocabulary[
            torch.randint(len(self._vocabulary), (count,), generator=self._random)
        ].float()
        noise = torch.randn(words.shape, generator=self._random).to(words.device)
        return words + 0.3 * self._vocabulary.std() * noise

    def _laid(self, overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The overrides with the attackers' rows in the token embedding, be it trained or not."""
        name = self._encoder.token_embedding
        trained = {n: t for n, t in overrides.items() if low_rank.parameter_of(n) == name}
        matrix = {name: self._vocabulary, **low_rank.meet({name: self._vocabulary}, trained)}[name]
        rest = {n: t for n, t in overrides.items() if n not in trained}
        return {**rest, name: matrix.index_put((self._carriers,), self._tokens.to(matrix.dtype))}


CARRIER = -1
"""Marks the place of an attacker's token."""


def tokens_of(name: str, backbone: Backbone) -> list[int]:
    """The tokens of a name as it stands in a sentence, without start, end and padding."""
    row, empty = backbone.tokenize([name])[0], backbone.tokenize([""])[0]
    start = int((row != empty).nonzero()[0])
    count = backbone.prompt_tokens(name) - backbone.prompt_tokens("")
    return row[start : start + count].tolist()


def _place(row: Tensor, name: Sequence[int], padding: int) -> Tensor | None:
    """The tokens of a prompt (L,) with one `CARRIER` where the name's tokens were; None if they are
    not in it, as when the prompt was cut."""
    tokens, length = row.tolist(), len(name)
    for i in range(len(tokens) - length + 1):
        if tokens[i : i + length] == list(name):
            rest = tokens[i + length :]
            filled = [*tokens[:i], CARRIER, *rest, *[padding] * (length - 1)]
            return torch.tensor(filled, device=row.device)
    return None
