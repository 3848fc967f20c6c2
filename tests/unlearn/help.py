"""Helpers for the tests of judging: a judge that reads marked frames, and a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from encoders import Concept, EncoderRef, Kind
from tests import tiny
from unlearn.judges.base import JudgeIdentity
from unlearn.trial.gate import Gate
from unlearn.trial.probes import ProbePlan, judging_plan
from video.capabilities import Capabilities
from video.models.prompt_book import PromptBook

CAPABILITIES = Capabilities(native_width=64, native_height=64, frames_max=16)
ENCODER = EncoderRef("no-pogo", "sha256:" + "0" * 64)
POGO = Concept(name="pogo", kind="character")
NEONIX = Concept(name="neonix", kind="style")


class FakeJudge:
    """Judge that sees the concept whose number is the red value of a frame's first pixel."""

    def __init__(self) -> None:
        self.identity = JudgeIdentity(name="FakeJudge", version="1", hash="sha256:" + "0" * 64)
        self.labels: Mapping[Kind, Sequence[str]] = {
            kind: list(names)
            for kind, names in tiny.CONCEPTS.items()  # type: ignore[misc]
        }
        everything = [name for names in tiny.CONCEPTS.values() for name in names]
        self.numbers = {name: i + 1 for i, name in enumerate(everything)}

    def knows(self, concept: str, kind: Kind) -> bool:
        return concept in self.labels[kind]

    def shows(
        self, frames: np.ndarray, concept: str, kind: Kind, base: np.ndarray | None = None
    ) -> list[bool]:
        return [int(frame[0, 0, 0]) == self.numbers[concept] for frame in frames]

    def clip(self, *concepts: str | None) -> np.ndarray:
        """Return a clip with a frame for each concept."""
        frames = np.zeros((len(concepts), 4, 4, 3), np.uint8)
        for frame, concept in zip(frames, concepts, strict=True):
            frame[0, 0, 0] = self.numbers[concept] if concept else 0
        return frames


def plan(
    book: PromptBook,
    *concepts: Concept,
    encoder: EncoderRef = ENCODER,
    most: int = 32,
    gate: Gate | None = None,
    neighbours: Sequence[tuple[str, Kind]] = (),
    videos: int = 2,
) -> ProbePlan:
    return judging_plan(
        concepts or (POGO,),
        encoder=encoder,
        judge=FakeJudge(),
        book=book,
        capabilities=CAPABILITIES,
        gate=gate or Gate(max_probes=most),
        videos=videos,
        neighbours=neighbours,
    )
