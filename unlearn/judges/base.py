"""The judge protocol: what decides whether a clip shows a concept.

A judge looks at frames and nothing else: never at prompts, embeddings or the generator's insides.
`unlearn.judges.classifier` has the judge of the built-in model, `unlearn.judges.clip` one for
models that come without a judge. `unlearn.judges.load` finds these, and judges that other packages
install.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from encoders import Kind
from encoders.card import Sha256
from encoders.errors import PalimpsestError
from video.frames import Frames


class JudgeInvalid(PalimpsestError):
    """A judge that cannot be loaded: unfit files, or a faulty plug-in."""

    code = "judge_invalid"


class UnknownConcept(PalimpsestError):
    """A concept that the judge does not know, so it cannot tell if a clip shows it."""

    code = "unknown_concept"


class JudgeIdentity(BaseModel):
    """The name, version and hash of a judge: two judges with equal hashes give equal answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    """A name for people, as reports print it."""
    version: str = Field(min_length=1, max_length=100)
    """The version of the code that turns the judge's files into answers."""
    hash: Sha256
    """`sha256:` and 64 hex digits over all data that decides the answers, first of all the weights.
    """

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Vocabulary(Protocol):
    """The part of a judge that says who it is and what it can be asked for."""

    @property
    def identity(self) -> JudgeIdentity:
        """The judge's name, version and hash, which reports name it by."""
        ...

    @property
    def labels(self) -> Mapping[Kind, Sequence[str]]:
        """The concepts whose keeping is measured, by kind: `knows` is true for each of them.

        A judge with an open vocabulary knows others too. A kind that it cannot judge may be left
        out.
        """
        ...

    def knows(self, concept: str, kind: Kind) -> bool:
        """Return true if `Judge.shows` can be asked for the concept."""
        ...


class Judge(Vocabulary, Protocol):
    """A classifier of frames by the concepts that they show.

    **Provisional**: `identity` and the argument `base` of `shows` are new, and the protocol may
    still change with a minor release. `load_judge` checks a judge from another package against it.
    """

    def shows(
        self, frames: Frames, concept: str, kind: Kind, base: Frames | None = None
    ) -> list[bool]:
        """Tell for each frame if it shows the concept.

        A motion is read off the whole clip, so for the kind "motion" all F answers are the same.

        Args:
            frames: the clip to judge, uint8 (F,H,W,3); a still has F = 1.
            concept: the concept to look for.
            kind: its kind.
            base: the base encoder's clip for the same prompt and seed, (F,H,W,3), when `frames` are
                an unlearned encoder's; None when `frames` are the base's own. A judge may compare
                the two or ignore `base`.

        Returns:
            F answers.

        Raises:
            UnknownConcept: `knows` is false for the concept.
            ValueError: `frames` have another dtype or shape.
        """
        ...
