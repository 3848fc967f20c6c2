"""Evasion: tokens of no word that mean the concept to the base and stay below the trigger.

An attacker who can send embeddings, and knows the trigger, learns input embeddings in the place of
the concept's name. They minimise

    ‖τ₀(y′) − τ₀(y)‖² · `READING` ÷ ‖τ₀(y) − τ₀(a)‖²  +  max(0, m(y′) ÷ (`MARGIN` · θ) − 1)

y′ is y with the tokens, a its anchor, m the movement (`encoders.trigger`). Against an encoder that
is always on, the same search has τᵢ in τ₀'s place in the first term, and no second term. A token is
no longer than the longest row of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.vocabulary import token_embedding, with_rows
from benchmarks.forgetting.cases import KIND_OF
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.results import rate
from unlearn.few_shots import few_shot_prompts
from unlearn.methods.name_tokens import find_tokens, tokens_of
from unlearn.prompts import held_out_prompts

READING = 10.0
MARGIN = 0.9
LEARNING_RATE = 0.1
"""Learning rate of Adam at the start, as a share of the mean length of the vocabulary's rows."""
FIRST_SEED = 70_000


@dataclass(frozen=True)
class EvasionSizes:
    """Tokens that are learned, their steps, and the sentences that each is tried in."""

    starts: int = 12
    steps: int = 300
    sentences: int = 3


def evasion(
    experiment: Experiment, sizes: EvasionSizes, concepts: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return how often a concept comes back through the trigger, and through the encoder alone."""
    found: dict[str, dict[str, Any]] = {}
    for concept in concepts:
        search = Search(experiment, concept, sizes)
        found[concept] = {
            "through the trigger": search.success(knows_trigger=True),
            "always on": search.success(knows_trigger=False),
        }
        print(f"{concept}, evasion: {found[concept]}", flush=True)
    return found


class Search:
    """The search for one concept's tokens, and the pictures that they bring back."""

    def __init__(self, experiment: Experiment, concept: str, sizes: EvasionSizes) -> None:
        made = experiment.intervention(OURS, concept)
        assert made is not None
        assert made.trigger is not None
        self._experiment, self._made, self._sizes = experiment, made, sizes
        self._concept, self._backbone = concept, experiment.backbone
        self._triggers = [one.bounds() for one in made.trigger.concepts]
        self._name = tokens_of(concept, self._backbone)
        book = self._backbone.prompts
        kind = KIND_OF[concept]
        self._captions, self._places = self._rows(few_shot_prompts(concept, kind, 8, book=book))
        self._held, self._held_places = self._rows(held_out_prompts(concept, kind, book=book))
        used = set(torch.cat([self._captions, self._held]).unique().tolist())
        free = [token for token in range(len(self._vocabulary())) if token not in used]
        count = sizes.starts * len(self._name)
        self._carriers = torch.tensor(free[:count]).view(sizes.starts, -1)

    def success(self, *, knows_trigger: bool) -> dict[str, Any]:
        """Return the share of stills that show the concept."""
        tokens = self._learned(knows_trigger=knows_trigger)
        attacked = self._with(tokens)
        shown = [
            self._shows(attacked, start, sentence, is_triggered=knows_trigger)
            for start in range(self._sizes.starts)
            for sentence in range(min(self._sizes.sentences, len(self._held)))
        ]
        return rate(sum(shown), len(shown))

    def _learned(self, *, knows_trigger: bool) -> Tensor:
        """Learn the tokens from random words: (S,N,D)."""
        vocabulary, random = self._vocabulary(), torch.Generator().manual_seed(0)
        words = torch.randint(len(vocabulary), self._carriers.shape, generator=random)
        noise = torch.randn((*words.shape, vocabulary.shape[1]), generator=random)
        tokens = (vocabulary[words] + 0.3 * vocabulary.std() * noise).requires_grad_()
        lengths = vocabulary.norm(dim=1)
        rate_at_start = LEARNING_RATE * lengths.mean().item()
        adam = torch.optim.Adam([tokens], lr=rate_at_start)
        with torch.no_grad():
            wanted = self._encode(self._captions, None)
            scale = wanted.square().mean()
        starts = 2 * list(range(self._sizes.starts))
        for step in range(self._sizes.steps):
            for group in adam.param_groups:
                group["lr"] = rate_at_start * (1 - step / self._sizes.steps)
            drawn = torch.randint(len(self._captions), (len(starts),), generator=random).tolist()
            rows = torch.stack(
                [
                    self._placed(self._captions[i], self._places[i], start)
                    for i, start in zip(drawn, starts, strict=True)
                ]
            )
            attacked = self._with(tokens)
            with torch.enable_grad():
                moved = self._encode(rows, attacked.overrides)
                read, loss = moved, torch.zeros(())
                if knows_trigger:
                    read = self._encode(rows, attacked.base)
                    for bounds in self._triggers:
                        loss = loss + (bounds.shares(moved - read) / MARGIN - 1).relu().sum()
                distance = (read - wanted[drawn]).square().mean((1, 2)).sum()
                loss = loss + READING * distance / scale
                adam.zero_grad()
                loss.backward()
            adam.step()
            with torch.no_grad():
                tokens *= (lengths.max() / tokens.norm(dim=-1, keepdim=True)).clamp(max=1)
        return tokens.detach()

    @torch.no_grad()
    def _shows(
        self, attacked: Intervention, start: int, sentence: int, *, is_triggered: bool
    ) -> bool:
        """Return True if a still of a held-out sentence with a start's tokens shows the concept."""
        row = self._placed(self._held[sentence], self._held_places[sentence], start)[None]
        embedding = self._encode(row, attacked.overrides)
        if is_triggered:
            base = self._encode(row, attacked.base)
            assert self._made.trigger is not None
            if self._made.trigger.detector().movement(base, embedding) < 1:
                embedding = base
        nothing = self._backbone.embed([""], is_video=False)
        number = FIRST_SEED + start * self._sizes.sentences + sentence
        [frames] = sample(
            self._backbone,
            [SampleRequest("attacked", number)],
            is_video=False,
            embed=lambda prompt: embedding if prompt else nothing,
        )
        return any(self._experiment.judge.shows(frames, self._concept, KIND_OF[self._concept]))

    def _rows(self, prompts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Return the token ids of the prompts that have the name whole, and its places."""
        rows = self._backbone.tokenize(prompts)
        places = [find_tokens(self._name, row) for row in rows.tolist()]
        whole = [i for i, place in enumerate(places) if place is not None]
        return rows[whole], [place for place in places if place is not None]

    def _placed(self, row: Tensor, place: int, start: int) -> Tensor:
        """Return a prompt's token ids with a start's tokens in the name's place: (L,)."""
        row = row.clone()
        row[place : place + len(self._name)] = self._carriers[start]
        return row

    def _with(self, tokens: Tensor) -> Intervention:
        carriers = self._carriers.flatten().tolist()
        return with_rows(self._backbone, self._made, carriers, tokens.flatten(0, 1))

    def _encode(self, rows: Tensor, overrides: Any) -> Tensor:
        return self._backbone.text_encoder.encode(rows, overrides).float()

    def _vocabulary(self) -> Tensor:
        return token_embedding(self._backbone, self._made).float()
