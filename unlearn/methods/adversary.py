"""An attacker inside the optimisation: free tokens that try to mean the concept all the same.

Whoever may choose an input embedding looks for a token that no word has, but with which the encoder
reads the concept: in the place of its name, or before a sentence that names it. The encoder is
trained against a few such tokens while they are being looked for: one backward pass serves both
sides ("free" adversarial training: Shafahi et al. 2019, arXiv 1904.12843), all of it at the
encoder's output, without a denoiser (AdvUnlearn's lower level has one: Zhang et al. 2024, arXiv
2405.15234).

How much of the concept is read is a projection, not a distance: a denoiser draws a concept from
embeddings far from any of its sentences, as long as enough of what is peculiar to it is in them.

An attacker's token is no longer than the longest word's. A much longer one drowns what the layers
add to it and goes through any text encoder as it is; whoever may send such a thing has no need of
the encoder at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import low_rank
from unlearn.methods.sampling import draw
from unlearn.prompts import Caption

if TYPE_CHECKING:
    from video.models.backbone import Backbone

IN_PLACE, BEFORE = 16, 8
"""Attackers at work at a time in the name's place, and before a whole sentence."""
ATTACKERS = IN_PLACE + BEFORE
LEARNING_RATE = 0.15
"""Of the attackers' Adam, as a share of the mean length of the vocabulary's rows."""
RESTARTS = 4
"""One attacker begins anew every so many steps, on average: another way in is tried."""
SENTENCES = 32
"""Of the concept's captions so many, drawn at random, are used for each sort of attacker."""
BEATEN = 1e-3
"""An attacker that reads nothing of the concept counts so much less, and still learns."""
LEAST = 0.01
"""What is peculiar to a concept counts as no less than this share of it."""


class Adversary:
    """The attackers of one concept and the loss that they cause.

    Args:
        captions: the concept's. In those that call it by its own name, tokens can stand in the
            name's place, as many as the name has; and one before any of them.
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
        self._start = start(backbone)
        self._random = generator
        name = tokens_of(captions[0].name, backbone)
        own = [caption for caption in captions if caption.name == captions[0].name]
        own = [own[i] for i in draw(len(own), SENTENCES, generator)]
        prompts = backbone.tokenize([caption.prompt for caption in own])
        found = [find(name, row) for row in prompts.tolist()]
        whole = [i for i, place in enumerate(found) if place is not None]  # the rest was cut
        own, prompts = [own[i] for i in whole], prompts[whole]
        self._prompts, self._places = prompts, [place for place in found if place is not None]
        with torch.no_grad():
            self._anchor = self._encoder.encode(backbone.tokenize([c.anchor for c in own]))
            self._towards = (self._encoder.encode(prompts) - self._anchor).float()
            said, *rest = phrases
            others = [[c.prompt.replace(said, other) for c in own] for other in rest]
            away = [self._encoder.encode(backbone.tokenize(each)) - self._anchor for each in others]
            self._peculiar = peculiar(self._towards, [each.float() for each in away])
        most = backbone.capabilities.prompt_tokens - 1  # one more comes before it
        shuffled = (captions[i] for i in draw(len(captions), len(captions), generator))
        fit = (
            c for c in shuffled if max(map(backbone.prompt_tokens, (c.prompt, c.anchor))) <= most
        )
        longer = list(islice(fit, SENTENCES))
        self._said = backbone.tokenize([c.prompt for c in longer])
        self._meant = backbone.tokenize([c.anchor for c in longer])
        self._vocabulary = self._encoder.parameters()[self._encoder.token_embedding]
        # Carriers: rows that stand in none of the captions, overwritten by the attackers'.
        taken = torch.cat([prompts, self._said, self._meant]).unique().tolist()
        free = sorted(set(range(len(self._vocabulary))) - set(taken))
        self._carriers = torch.tensor(free[: ATTACKERS * len(name)], device=prompts.device)
        self._carriers = self._carriers.view(ATTACKERS, len(name))
        self._words = self._some_words(self._carriers.shape)
        self._tokens = self._near(self._words).requires_grad_()
        lengths = self._vocabulary.norm(dim=1)
        self._longest = lengths.max()
        self._scale = torch.ones(ATTACKERS)
        self._adam = torch.optim.Adam([self._tokens], lr=LEARNING_RATE * lengths.mean().item())

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """The mean over the attackers of max(0, s) ‖τ₀(y) − τ₀(a)‖² (and next to nothing of s < 0)
        with

            s = ⟨τ_φ(y′) − τ₀(a), d⟩ / ‖d‖²

        y′ being y with an attacker's tokens in the name's place or before it, and d the `peculiar`
        part of τ₀(y) − τ₀(a), for tokens before y the whole of it: 1 for the base's own reading of
        y, 0 for the anchor's. Tokens before y stand before a and τ₀'s y too, there as the words
        that they began as. One backward pass of it serves both sides: the attackers, who maximise
        s, take their step on it when they are called again.
        """
        self._move()
        read, apart = self._attack(overrides)
        slope = torch.where(read > 0, 1.0, BEATEN)
        self._scale = (slope * apart).detach().clamp(min=1e-12)
        return (slope * read * apart).mean()

    def _move(self) -> None:
        """The attackers' own step, on what the backward pass of the last loss has left them."""
        if self._tokens.grad is not None:
            # Each attacker's gradient is that of its own s, once its weight in the loss is out.
            self._tokens.grad /= -self._scale.view(-1, 1, 1)
            self._adam.step()
            self._adam.zero_grad()
            with torch.no_grad():  # no longer than a word: see the module's docstring
                length = self._tokens.norm(dim=-1, keepdim=True)
                self._tokens *= (self._longest / length).clamp(max=1)
        if torch.rand((), generator=self._random) < 1 / RESTARTS:
            [one] = draw(ATTACKERS, 1, self._random)
            self._words[one] = self._some_words(self._words[one].shape)
            self._tokens.data[one] = self._near(self._words[one])

    @torch.no_grad()
    def read(self, overrides: Mapping[str, Tensor]) -> float:
        """How much of the concept the attackers' tokens have read in some of its captions: s."""
        return float(self._attack(overrides)[0].mean())

    def _attack(self, overrides: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Each attacker's s in a caption of its own, and how far that is from its anchor."""
        chosen = self._some(len(self._prompts), IN_PLACE)
        rows = self._prompts[chosen].clone()
        for row, carriers, i in zip(rows, self._carriers, chosen, strict=False):
            row[self._places[i] : self._places[i] + len(carriers)] = carriers
        behind = self._some(len(self._said), BEFORE)
        said, meant = self._said[behind], self._meant[behind]
        rows = torch.cat([rows, self._before(said, self._carriers[IN_PLACE:, :1])])
        words = self._words[IN_PLACE:, :1].to(said)
        with torch.no_grad():
            anchor = self._encoder.encode(self._before(meant, words))
            towards = (self._encoder.encode(self._before(said, words)) - anchor).float()
        direction = torch.cat([self._peculiar[chosen], towards])
        anchor = torch.cat([self._anchor[chosen], anchor])
        apart = torch.cat([self._towards[chosen], towards]).square().mean((1, 2))
        moved = self._encoder.encode(rows, self._laid(overrides)) - anchor
        return shares(moved.float(), direction, apart), apart

    def _some(self, population: int, count: int) -> list[int]:
        return torch.randint(population, (count,), generator=self._random).tolist()

    def _some_words(self, shape: torch.Size) -> Tensor:
        return torch.randint(len(self._vocabulary), shape, generator=self._random)

    def _near(self, words: Tensor) -> Tensor:
        """Embeddings near those of words: (*words, D)."""
        rows = self._vocabulary[words].float()
        noise = torch.randn(rows.shape, generator=self._random).to(rows.device)
        return rows + 0.3 * self._vocabulary.std() * noise

    def _before(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """Prompts (B,L) with tokens (B,1) of their own before their first word."""
        return torch.cat([rows[:, : self._start], tokens, rows[:, self._start : -1]], 1)

    def _laid(self, overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The overrides with the attackers' rows in the token embedding, be it trained or not."""
        name = self._encoder.token_embedding
        trained = {n: t for n, t in overrides.items() if low_rank.parameter_of(n) == name}
        matrix = {name: self._vocabulary, **low_rank.apply({name: self._vocabulary}, trained)}[name]
        rest = {n: t for n, t in overrides.items() if n not in trained}
        tokens = self._tokens.to(matrix.dtype)
        return {**rest, name: matrix.index_put((self._carriers,), tokens)}


def tokens_of(name: str, backbone: Backbone) -> list[int]:
    """The tokens of a name as it stands in a sentence, without start, end and padding."""
    row, first = backbone.tokenize([name])[0], start(backbone)
    count = backbone.prompt_tokens(name) - backbone.prompt_tokens("")
    return row[first : first + count].tolist()


def start(backbone: Backbone) -> int:
    """How many tokens come before a prompt's first word: CLIP has one, T5 none."""
    word, nothing = backbone.tokenize(["a", ""])
    return int((word != nothing).nonzero()[0])


def find(name: Sequence[int], row: Sequence[int]) -> int | None:
    """Where a name's tokens begin in a prompt's; None if they are not in it."""
    starts = range(len(row) - len(name) + 1)
    return next((i for i in starts if list(row[i : i + len(name)]) == list(name)), None)


def peculiar(towards: Tensor, away: Sequence[Tensor]) -> Tensor:
    """What of a concept's directions is in no other concept's: τ₀(y) − τ₀(a) without its projection
    on the span of τ₀(o) − τ₀(a), o being y with another concept in its place.

    Along it no mixture of the others moves: taking it away leaves them be. A null-space projection
    (Ravfogel et al. 2020, arXiv 2004.07667), of what is to stay.

    Args:
        towards: the concept's directions, one a sentence: (N,L,D).
        away: the same of each other concept.
    """
    if not away:
        return towards
    span, _ = torch.linalg.qr(torch.stack([other.flatten(1) for other in away], 2))
    flat = towards.flatten(1).unsqueeze(2)
    return (flat - span @ (span.mT @ flat)).view_as(towards)


def shares(moved: Tensor, direction: Tensor, apart: Tensor) -> Tensor:
    """⟨m, d⟩ / ‖d‖² for each of (B,L,D); less where d is next to nothing beside the mean square
    `apart`, as in a concept that has nothing of its own.
    """
    least = torch.maximum(direction.square().mean((1, 2)), LEAST * apart).clamp(min=1e-12)
    return (moved * direction).mean((1, 2)) / least
