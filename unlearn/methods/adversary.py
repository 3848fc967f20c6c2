"""Adversary inside the optimisation: free tokens that try to mean the concept.

An attacker who may choose an input embedding looks for a token that belongs to no word, but in
which the text encoder reads the concept: in the place of the concept's name, or before a sentence
that names it. The encoder is trained against a few such tokens while they search. One backward pass
serves both sides ("free" adversarial training: Shafahi et al. 2019, arXiv 1904.12843). Everything
happens at the encoder's output, without a denoiser (unlike AdvUnlearn's lower level: Zhang et al.
2024, arXiv 2405.15234).

The share of the concept that is read is a projection, not a distance: a denoiser draws a concept
from embeddings far from any of its sentences, if they hold enough of the concept's distinctive
part.

An attacker's token is no longer than the longest row of the vocabulary. A much longer token
outweighs the changes of the layers and passes through any text encoder unchanged; an attacker who
can send one does not need this encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.methods.anchor_rows import Anchors
from unlearn.methods.name_tokens import find_tokens, leading_tokens, tokens_of
from unlearn.methods.run_state import adam_state, part, prefixed, restore_adam
from unlearn.methods.sampling import draw
from unlearn.methods.token_rows import with_rows

if TYPE_CHECKING:
    from video.models.backbone import Backbone

IN_PLACE, BEFORE = 16, 8
"""Attackers at work at a time, in the name's place and before a whole sentence."""
ATTACKERS = IN_PLACE + BEFORE
LEARNING_RATE = 0.15
"""Learning rate of the attackers' Adam, as a share of the mean length of the vocabulary's rows."""
RESTART_EVERY = 4
"""Steps between restarts, on average: one attacker begins anew, to try another way in."""
MAX_CAPTIONS = 32
"""Captions of the concept, drawn at random, for each sort of attacker."""
INACTIVE_SLOPE = 1e-3
"""Weight of an attacker that reads nothing of the concept. It is not zero: the attacker still
learns."""
MIN_DISTINCTIVE = 0.01
"""Lower bound of the distinctive part's mean square, as a share of the whole direction's."""
MIN_READ = 0.45
"""Least mean square of what is read in the name's place, as a share of the whole direction's. A
concept with a smaller distinctive part can be drawn from what it shares with others: a balloon from
an umbrella's and a mushroom's. So some of that is read too."""


class Adversary:
    """The attackers of one concept and the loss that they cause.

    Args:
        anchors: The concept's captions and what they are to mean. In those with its own name, an
            attacker's tokens can replace the name, as many as the name has; in any of them, one
            token can come first.
        phrases: Phrase of that name in a sentence, and then of each other concept's of the kind.
        backbone: Its text encoder is attacked.
        generator: On the CPU; draws the attackers' starts and their captions.
    """

    def __init__(
        self,
        anchors: Anchors,
        phrases: Sequence[str],
        backbone: Backbone,
        generator: torch.Generator,
    ) -> None:
        self._encoder = backbone.text_encoder
        self._offset = leading_tokens(backbone)
        self._random = generator
        captions = anchors.captions
        name = tokens_of(captions[0].name, backbone)
        own = [caption for caption in captions if caption.name == captions[0].name]
        own = [own[i] for i in draw(len(own), MAX_CAPTIONS, generator)]
        rows = anchors.rows(own)
        places = [find_tokens(name, row) for row in rows.prompts.tolist()]
        whole = [i for i, place in enumerate(places) if place is not None]  # others were truncated
        own, rows = [own[i] for i in whole], rows[whole]
        self._places = [place for place in places if place is not None]
        longest = backbone.capabilities.prompt_tokens - 1  # room for one token before it
        shuffled = (captions[i] for i in draw(len(captions), len(captions), generator))
        fitting = (
            c for c in shuffled if max(map(backbone.prompt_tokens, (c.prompt, c.anchor))) <= longest
        )
        followed = list(islice(fitting, MAX_CAPTIONS))
        # What pads a prompt says what its words have said. A causal encoder reads these the same
        # without it, in half the time.
        said = [text for caption in (*own, *followed) for text in (caption.prompt, caption.anchor)]
        length = 1 + max(map(backbone.prompt_tokens, said)) if anchors.is_causal else None
        rows, self._followed = rows.cut(length), anchors.rows(followed).cut(length)
        self._prompts = rows.prompts
        with torch.no_grad():
            named, self._anchors = rows.encode(self._encoder)
            self._directions = (named - self._anchors).float()
            own_phrase, *other_phrases = phrases
            away: list[Tensor] = []
            for other in other_phrases:
                texts = [caption.prompt.replace(own_phrase, other) for caption in own]
                read = self._encoder.encode(backbone.tokenize(texts)[:, :length])
                away.append((read - self._anchors).float())
            self._read = made_up(distinctive(self._directions, away), self._directions, MIN_READ)
        self._vocabulary = self._encoder.parameters()[self._encoder.token_embedding]
        # Attackers take over rows of the vocabulary ("carriers") that no caption uses.
        used = torch.cat([self._prompts, self._followed.prompts, self._followed.neutral])
        free = sorted(set(range(len(self._vocabulary))) - set(used.unique().tolist()))
        self._carriers = torch.tensor(free[: ATTACKERS * len(name)], device=used.device)
        self._carriers = self._carriers.view(ATTACKERS, len(name))
        self._words = self._random_words(self._carriers.shape)
        self._tokens = self._embeddings_near(self._words).requires_grad_()
        lengths = self._vocabulary.norm(dim=1)
        self._max_length = lengths.max()
        self._weights = torch.ones(ATTACKERS)
        self._adam = torch.optim.Adam([self._tokens], lr=LEARNING_RATE * lengths.mean().item())

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """Let the attackers take a step, and return the loss that they cause.

        It is the mean over the attackers of max(0, s) ‖τ₀(y) − τ₀(a)‖² (with `INACTIVE_SLOPE` for
        s < 0), where

            s = ⟨τ_φ(y′) − τ₀(a), d⟩ / ‖d‖²

        is 1 if the concept is read as the base reads it in y, and 0 if the anchor is read. y′ is y
        with an attacker's tokens in the name's place or before it. d is the `distinctive` part of
        τ₀(y) − τ₀(a), with as much of the rest as makes up `MIN_READ` of the whole; for tokens
        before y it is the whole of it, and the words that the tokens began as stand before n and
        before y under τ₀ too. τ₀(a) stands for the anchor embeddings A(y), and n for the neutral
        sentence (`unlearn.methods.anchor_rows`). One backward pass of this loss serves both sides:
        the attackers maximise s, and take their step in the next call.
        """
        self._step()
        read, scale = self._attack(overrides)
        slope = torch.where(read > 0, 1.0, INACTIVE_SLOPE)
        self._weights = (slope * scale).detach().clamp(min=1e-12)
        return (slope * read * scale).mean()

    def _step(self) -> None:
        """Take the attackers' step, on the gradients of the last loss's backward pass."""
        if self._tokens.grad is not None:
            # Divided by its weight in the loss, each attacker's gradient is the gradient of its s.
            self._tokens.grad /= -self._weights.view(-1, 1, 1)
            self._adam.step()
            self._adam.zero_grad()
            with torch.no_grad():  # no longer than a word: see the module's docstring
                length = self._tokens.norm(dim=-1, keepdim=True)
                self._tokens *= (self._max_length / length).clamp(max=1)
        if torch.rand((), generator=self._random) < 1 / RESTART_EVERY:
            [one] = draw(ATTACKERS, 1, self._random)
            self._words[one] = self._random_words(self._words[one].shape)
            self._tokens.data[one] = self._embeddings_near(self._words[one])

    def state(self) -> dict[str, Tensor]:
        """Return what the calls so far have changed, but the generator, which is the caller's."""
        saved = {
            "words": self._words,
            "tokens": self._tokens,
            "weights": self._weights,
            **prefixed("adam", adam_state(self._adam)),
        }
        if self._tokens.grad is not None:  # the next call takes a step on it
            saved["gradient"] = self._tokens.grad
        return saved

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self._words.copy_(state["words"])
        self._tokens.copy_(state["tokens"])
        self._weights = state["weights"].to(self._tokens.device)
        restore_adam(self._adam, part("adam", state))
        if "gradient" in state:
            self._tokens.grad = state["gradient"].to(self._tokens.device)

    @torch.no_grad()
    def read(self, overrides: Mapping[str, Tensor]) -> float:
        """Return the mean share s of the concept that the attackers read, on a draw of captions."""
        return float(self._attack(overrides)[0].mean())

    def _attack(self, overrides: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return each attacker's s in a caption drawn for it, and ‖τ₀(y) − τ₀(a)‖²: (B,), (B,)."""
        chosen = self._random_indices(len(self._prompts), IN_PLACE)
        rows = self._prompts[chosen].clone()
        for row, carriers, i in zip(rows, self._carriers, chosen, strict=False):
            row[self._places[i] : self._places[i] + len(carriers)] = carriers
        followed = self._followed[self._random_indices(len(self._followed.prompts), BEFORE)]
        before = followed.after(self._carriers[IN_PLACE:, :1], self._offset)
        rows = torch.cat([rows, before.prompts])
        with torch.no_grad():
            words = followed.after(self._words[IN_PLACE:, :1], self._offset)
            named, anchor = words.encode(self._encoder)
            direction = (named - anchor).float()
        scale = torch.cat([self._directions[chosen], direction]).square().mean((1, 2))
        direction = torch.cat([self._read[chosen], direction])
        anchor = torch.cat([self._anchors[chosen], anchor])
        laid = with_rows(self._encoder, overrides, self._carriers, self._tokens)
        moved = self._encoder.encode(rows, laid) - anchor
        return concept_shares(moved.float(), direction, scale), scale

    def _random_indices(self, population: int, count: int) -> list[int]:
        return torch.randint(population, (count,), generator=self._random).tolist()

    def _random_words(self, shape: torch.Size) -> Tensor:
        return torch.randint(len(self._vocabulary), shape, generator=self._random)

    def _embeddings_near(self, words: Tensor) -> Tensor:
        """Return the words' embeddings with noise added: (*words, D)."""
        rows = self._vocabulary[words].float()
        noise = torch.randn(rows.shape, generator=self._random).to(rows.device)
        return rows + 0.3 * self._vocabulary.std() * noise


def distinctive(directions: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Return the part of a concept's directions that no other concept shares.

    It is τ₀(y) − τ₀(a) without its projection on the span of all τ₀(o) − τ₀(a), o being y with
    another concept in its place. It is orthogonal to every mixture of the others, so removing it
    leaves them unchanged: a null-space projection (Ravfogel et al. 2020, arXiv 2004.07667), with
    the span of what must stay.

    Args:
        directions: The concept's, one for each sentence: (N,L,D).
        others: The directions of each other concept, (N,L,D) each.
    """
    if not others:
        return directions
    span, _ = torch.linalg.qr(torch.stack([other.flatten(1) for other in others], 2))
    flat = directions.flatten(1).unsqueeze(2)
    return (flat - span @ (span.mT @ flat)).view_as(directions)


def made_up(part: Tensor, whole: Tensor, share: float) -> Tensor:
    """Return the direction that has at least a share of the whole one's square.

    It is the projection of w on the line of q = p + β (w − p), with the smallest β ≥ 0 for which
    ‖q‖² is `share` · ‖w‖². So what is read along it is 1 for w itself, as it is along p.

    Args:
        part: p, the orthogonal projection of w on some span, one for each sentence: (N,L,D).
        whole: w, (N,L,D).
        share: Between 0 and 1.
    """

    def square(one: Tensor) -> Tensor:
        return one.square().mean((1, 2), keepdim=True)

    rest = whole - part
    missing = (share * square(whole) - square(part)).clamp(min=0)
    made = part + (missing / square(rest).clamp(min=1e-12)).sqrt() * rest
    along = (whole * made).mean((1, 2), keepdim=True) / square(made).clamp(min=1e-12)
    return torch.where(missing > 0, along * made, part)


def concept_shares(moved: Tensor, direction: Tensor, scale: Tensor) -> Tensor:
    """Return ⟨m, d⟩ / ‖d‖² for each of a batch: (B,L,D), (B,L,D), (B,) → (B,).

    ‖d‖² counts as at least `MIN_DISTINCTIVE` of `scale`, the mean square of the whole direction:
    otherwise a concept without a distinctive part would divide by almost zero.
    """
    least = torch.maximum(direction.square().mean((1, 2)), MIN_DISTINCTIVE * scale)
    return (moved * direction).mean((1, 2)) / least.clamp(min=1e-12)
