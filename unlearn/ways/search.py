"""The search for ways: rounds of pictures by the base, and what the judge sees in them.

Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943): few pictures of many candidates,
and more of those that showed the concept. A search that was interrupted goes on: whoever has the
outcomes of earlier rounds tells them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from encoders import Concept, Kind
from encoders.way import Way
from unlearn.prompts import mentions, phrase
from unlearn.trial.measures import wilson
from unlearn.ways.costs import caption_with, why_kept
from unlearn.ways.sentences import sentences_with
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.capabilities import Capabilities
    from video.frames import Frames
    from video.models.prompt_book import PromptBook

STILLS = 200
"""Most pictures of a search."""
CLIPS = 40
"""The same for a motion, which takes clips."""
EACH = (2, 4, 8)
"""Pictures of each candidate in each round."""
SHARES = (0.5, 0.25, 0.25)
"""Shares of all pictures that the rounds get."""
LEAST_RATE = 0.25
"""Least rate of a way. What the base draws less often is chance, or another meaning."""
SUBJECTS: frozenset[Kind] = frozenset(("object", "character", "person"))
"""Kinds of which a picture has one."""


@dataclass(frozen=True)
class Look:
    """A picture of a candidate, to be made by the base."""

    phrase: str
    request: GenerationRequest


@dataclass(frozen=True)
class Sight:
    """Answer of the judge for a picture: the concept, and names of other concepts."""

    shown: bool
    others: tuple[str, ...] = ()


@dataclass
class _Count:
    shown: int = 0
    n: int = 0
    others: Counter[str] = field(default_factory=Counter[str])


class WaySearch:
    """The search for the ways to one concept.

    Args:
        concept: The concept, with its synonyms.
        candidates: Phrases, the most promising first (`unlearn.ways.candidates`).
        book: The model's captions, which say what it costs to forget a way.
        capabilities: The model's, for its steps, guidance and frames. Half of its usual steps are
            taken: they show what is drawn.
        pictures: The most pictures.
        retain: Captions to retain beside the book's.
    """

    def __init__(
        self,
        concept: Concept,
        candidates: Sequence[str],
        *,
        book: PromptBook,
        capabilities: Capabilities,
        pictures: int,
        retain: Sequence[str] = (),
    ) -> None:
        self._concept = concept
        self._book = book
        self._capabilities = capabilities
        self._retain = retain
        self._candidates = list(candidates[: count_of_candidates(pictures)])
        self._pictures = pictures
        self._round = -1
        self._counts: list[dict[str, _Count]] = []

    @property
    def is_first_round(self) -> bool:
        """True while the pictures only choose candidates: other concepts are not looked for."""
        return self._round <= 0

    def next_round(self) -> list[Look]:
        """Return the pictures of the next round; none once the search is over."""
        self._round += 1
        if self._round >= len(EACH):
            return []
        each = EACH[self._round]
        room = int(self._pictures * SHARES[self._round]) // each
        chosen = self._chosen()[:room]
        self._counts.append({one: _Count() for one in chosen})
        before = sum(EACH[: self._round])
        return [self._look(one, before + i) for one in chosen for i in range(each)]

    def tell(self, looks: Sequence[Look], sights: Sequence[Sight]) -> None:
        """Take in what the judge saw in each picture of the round."""
        counts = self._counts[-1]
        for look, sight in zip(looks, sights, strict=True):
            count = counts[look.phrase]
            count.shown += sight.shown
            count.n += 1
            count.others.update(sight.others)

    def ways(self) -> list[Way]:
        """Return the ways found so far, the surest first.

        The first round chose them, so its pictures do not count.
        """
        found = [(one, self._total(one)) for one in self._counts[1]] if self._counts[1:] else []
        kept = [(one, c) for one, c in found if c.shown > 1 and c.shown >= LEAST_RATE * c.n]
        kept.sort(key=lambda each: -wilson(each[1].shown, each[1].n)[0])
        return [self._way(one, count) for one, count in kept]

    def _way(self, candidate: str, count: _Count) -> Way:
        low, high = wilson(count.shown, count.n)
        reason = why_kept(
            candidate,
            self._concept,
            self._book,
            retain=self._retain,
            others=count.others,
            n=count.n,
        )
        return Way(
            phrase=candidate,
            rate=round(count.shown / count.n, 4),
            interval=(round(low, 4), round(high, 4)),
            n=count.n,
            forgotten=not reason,
            reason=reason,
        )

    def _chosen(self) -> list[str]:
        """Return the candidates of the round, best first."""
        if not self._counts:
            return self._candidates
        last = self._counts[-1]
        shown = [one for one, count in last.items() if count.shown]
        shown.sort(key=lambda one: -last[one].shown / last[one].n)  # else in their order
        if len(self._counts) > 1:
            return shown
        # A phrase around a way that can be forgotten is forgotten with it, and can wait.
        free = [one for one in shown if self._is_free(one)]
        around = {one for one in shown if mentions(one, [each for each in free if each != one])}
        return [*(one for one in shown if one not in around), *(o for o in shown if o in around)]

    def _is_free(self, candidate: str) -> bool:
        return caption_with(candidate, self._concept, self._book, self._retain) is None

    def _total(self, candidate: str) -> _Count:
        total = _Count()
        for counts in self._counts[1:]:
            if candidate in counts:
                one = counts[candidate]
                total.shown, total.n = total.shown + one.shown, total.n + one.n
                total.others.update(one.others)
        return total

    def _look(self, candidate: str, number: int) -> Look:
        kind = self._concept.kind
        prompt = sentences_with(phrase(candidate, kind), kind, self._book, number + 1)[-1]
        request = GenerationRequest(
            prompt,
            seed=_seed(candidate, number),
            steps=max(1, self._capabilities.steps_default // 2),
            guidance=self._capabilities.guidance_default,
            frames=self._capabilities.frames_default if kind == "motion" else None,
            low_priority=True,
        )
        return Look(candidate, request)


def count_of_candidates(pictures: int) -> int:
    """Return how many candidates a search with so many pictures looks at."""
    return int(pictures * SHARES[0]) // EACH[0]


def sights_of(
    looks: Sequence[Look],
    clips: Sequence[Frames],
    concept: Concept,
    judge: Judge,
    *,
    with_others: bool,
) -> list[Sight]:
    """Have the judge look at pictures.

    Args:
        looks: The pictures' looks.
        clips: Each look's frames, (F,H,W,3); F = 1 for a still.
        concept: The concept to look for; a picture shows it if any frame does.
        judge: It knows the concept.
        with_others: True to look for the judge's other concepts too, in stills of one candidate at
            a time.
    """
    kind = concept.kind
    shown = [any(judge.shows(frames, concept.name, kind)) for frames in clips]
    others: list[list[str]] = [[] for _ in looks]
    for label, of_kind in _beside(concept, judge) if with_others else ():
        for found, seen in zip(others, _seen(clips, label, of_kind, judge), strict=True):
            if seen:
                found.append(label)
    return [Sight(one, tuple(found)) for one, found in zip(shown, others, strict=True)]


def _beside(concept: Concept, judge: Judge) -> list[tuple[str, Kind]]:
    """Return the judge's other concepts that could be seen in the concept's place."""
    return [
        (label, kind)
        for kind, labels in judge.labels.items()
        if kind == concept.kind or {kind, concept.kind} <= SUBJECTS
        for label in labels
        if (label, kind) != (concept.name, concept.kind)
    ]


def _seen(clips: Sequence[Frames], label: str, kind: Kind, judge: Judge) -> list[bool]:
    """Return for each picture if it shows a concept; stills are looked at together."""
    if clips and all(len(frames) == 1 for frames in clips):
        return list(judge.shows(np.concatenate(list(clips)), label, kind))
    return [any(judge.shows(frames, label, kind)) for frames in clips]


def _seed(candidate: str, number: int) -> int:
    """Derive a seed from the phrase alone: pictures do not change with the list of candidates."""
    digest = sha256(f"{candidate}\0{number}".encode()).digest()
    return 2**62 + int.from_bytes(digest[:8]) % 2**62
