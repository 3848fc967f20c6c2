"""Naming of pictures: a phrase of the model's that two independent witnesses confirm.

The denoiser says which phrases help it with the pictures (`unlearn.pictures.scores`). The judge,
which never sees a prompt, has to see the same concept in the pictures and in what the base draws
for such a phrase. Otherwise the model does not draw what the pictures show, or nobody can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders import Concept, Kind, PalimpsestError
from unlearn.pictures.scores import Candidate, Score
from unlearn.prompts import phrase
from unlearn.ways.sentences import sentences_with
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unlearn.judges.base import Judge
    from video.capabilities import Capabilities
    from video.frames import Frames
    from video.models.prompt_book import PromptBook

TRIED = 3
"""Best phrases that are drawn."""
STILLS = 6
"""Pictures of each by the base."""
LEAST_SEEN = 0.5
"""Share of the pictures, and of the base's, in which the judge has to see the concept."""
FIRST_SEED = 2**61


class NotDrawn(PalimpsestError):
    """The model does not draw what the pictures show, as far as can be told."""

    code = "not_drawn"


@dataclass(frozen=True)
class Suspect:
    """A phrase with a sure gain, and the concept that the judge would see."""

    score: Score
    label: str
    kind: Kind
    seen: int
    """Pictures in which the judge sees the concept."""


@dataclass(frozen=True)
class FoundConcept:
    """The concept that pictures show, and what speaks for it."""

    concept: Concept
    suspect: Suspect
    pictures: int
    drawn: int
    """Pictures of the phrase by the base in which the judge sees the concept, of `STILLS`."""

    def facts(self) -> dict[str, Any]:
        """Return JSON values for the encoder's card."""
        score = self.suspect.score
        return {
            "pictures": self.pictures,
            "phrase": score.candidate.phrase,
            "gain": round(score.gain, 6),
            "gain_error": round(score.error, 6),
            "gain_n": score.n,
            "seen_in_pictures": self.suspect.seen,
            "seen_in_drawn": self.drawn,
            "drawn": STILLS,
        }


def suspects(
    scores: Sequence[Score], pictures: NDArray[np.uint8], judge: Judge, book: PromptBook
) -> list[Suspect]:
    """Return the best phrases whose concept the judge sees in the pictures (N,H,W,3).

    Raises:
        NotDrawn: No phrase helps the denoiser, or the judge sees nothing that one means.
    """
    sure = [score for score in scores if score.is_sure][:TRIED]
    if not sure:
        best = f"; the nearest was {scores[0].candidate.phrase!r}" if scores else ""
        raise NotDrawn(
            "The model does not draw what the pictures show: no phrase of the model's helps its "
            f"denoiser to tell them from noise{best}.",
            param="images",
        )
    found = [one for score in sure if (one := _suspect(score, pictures, judge, book)) is not None]
    if not found:
        tried = ", ".join(repr(score.candidate.phrase) for score in sure)
        raise NotDrawn(
            "The model does not draw what the pictures show, as far as the judge can tell: the "
            f"denoiser takes them for {tried}, and the judge sees nothing of that in them.",
            param="images",
        )
    return found


def requests_for(suspect: Suspect, book: PromptBook, caps: Capabilities) -> list[GenerationRequest]:
    """Return the stills by which the base shows what it draws for a suspect's phrase."""
    named = phrase(suspect.score.candidate.phrase, suspect.kind)
    return [
        GenerationRequest(
            prompt,
            seed=FIRST_SEED + i,
            steps=caps.steps_default,
            guidance=caps.guidance_default,
            frames=None,
            low_priority=True,
        )
        for i, prompt in enumerate(sentences_with(named, suspect.kind, book, STILLS))
    ]


def confirmed(
    asked: Sequence[Suspect],
    drawn: Sequence[Sequence[Frames]],
    pictures: int,
    judge: Judge,
    book: PromptBook,
) -> FoundConcept:
    """Return the first suspect whose concept the judge also sees in what the base draws.

    Args:
        asked: The suspects, best first.
        drawn: The results of `requests_for` of each.
        pictures: The number of pictures that were sent.
        judge: The judge.
        book: The model's; names that it has are no synonyms.

    Raises:
        NotDrawn: There is none.
    """
    counts: list[int] = []
    for suspect, clips in zip(asked, drawn, strict=True):
        counts.append(sum(any(judge.shows(f, suspect.label, suspect.kind)) for f in clips))
        if counts[-1] >= LEAST_SEEN * len(clips):
            named = suspect.score.candidate.phrase
            known = (suspect.label, *book.synonyms(suspect.label, suspect.kind))
            synonyms = () if named in known else (named,)
            concept = Concept(name=suspect.label, kind=suspect.kind, synonyms=synonyms)
            return FoundConcept(concept, suspect, pictures, counts[-1])
    tried = ", ".join(
        f"{one.score.candidate.phrase!r} ({count} of {STILLS})"
        for one, count in zip(asked, counts, strict=True)
    )
    raise NotDrawn(
        "The model does not draw what the pictures show: the judge sees the same concept in too "
        f"few pictures that the base draws for the nearest phrases, {tried}.",
        param="images",
    )


def _suspect(
    score: Score, pictures: NDArray[np.uint8], judge: Judge, book: PromptBook
) -> Suspect | None:
    candidate = score.candidate
    counts: dict[tuple[str, Kind], int] = {
        (label, kind): sum(judge.shows(pictures, label, kind))
        for label, kind in _meant(candidate, judge)
    }
    if not counts:
        return None
    (label, kind), seen = max(counts.items(), key=lambda each: each[1])
    return Suspect(score, label, kind, seen) if seen >= LEAST_SEEN * len(pictures) else None


def _meant(candidate: Candidate, judge: Judge) -> list[tuple[str, Kind]]:
    """Return the concepts of the judge that a phrase may mean.

    A word of the vocabulary is a concept itself for a judge with an open vocabulary, and may mean
    any that another judge knows.
    """
    if candidate.label is not None:
        known = judge.knows(candidate.label, candidate.kind)
        return [(candidate.label, candidate.kind)] if known else []
    if judge.knows(candidate.phrase, candidate.kind):
        return [(candidate.phrase, candidate.kind)]
    return [
        (label, kind)
        for kind, labels in judge.labels.items()
        if kind != "motion"
        for label in labels
    ]
