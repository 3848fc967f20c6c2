"""Labels that a judge sees in a clip: all of them, and not just one that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, get_args, runtime_checkable

from encoders import Kind

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.frames import Frames

Seen = Mapping[tuple[str, Kind], list[bool]]
"""A concept of the judge's `labels`, by name and kind → for each frame, if it shows it."""

Rule = Callable[[Sequence[bool]], bool]

SUBJECTS: tuple[Kind, ...] = ("object", "character", "person")


@runtime_checkable
class SeesAll(Protocol):
    """A judge that looks for all of its labels at once, which is faster than one by one."""

    def seen(self, frames: Frames, kinds: Collection[Kind]) -> Seen:
        """Tell for each label of some kinds, and each frame (F,H,W,3), if it shows it."""
        ...


@runtime_checkable
class TriesDistractors(Protocol):
    """A judge whose verdict depends on the labels that a concept is set against."""

    def by_distractors(
        self, frames: Frames, concept: str, kind: Kind
    ) -> Mapping[int, Sequence[bool]]:
        """Tell for some numbers of distractors, and each frame (F,H,W,3), if it shows it."""
        ...


def verdict_changes(
    judge: Judge, frames: Frames, concept: str, kind: Kind, rule: Rule
) -> bool | None:
    """Tell if the number of distractors changes the verdict; None if the judge uses none.

    Args:
        judge: the judge.
        frames: the clip.
        concept: the concept to look for.
        kind: its kind.
        rule: makes one verdict of the answers for all frames.
    """
    if not isinstance(judge, TriesDistractors):
        return None
    return len({rule(shown) for shown in judge.by_distractors(frames, concept, kind).values()}) > 1


def seen_by(judge: Judge, frames: Frames, kinds: Collection[Kind]) -> Seen:
    """Return what a judge sees of some kinds; any judge can be asked, if only label by label."""
    if isinstance(judge, SeesAll):
        return judge.seen(frames, kinds)
    return {
        (label, kind): judge.shows(frames, label, kind)
        for kind, labels in judge.labels.items()
        if kind in kinds
        for label in labels
    }


def rivals(kind: Kind) -> tuple[Kind, ...]:
    """Return the kinds that can stand in a concept's place: a person's, in a character's."""
    return SUBJECTS if kind in SUBJECTS else (kind,)


def kinds_of(judge: Judge) -> tuple[Kind, ...]:
    """Return the kinds that the judge has labels of."""
    return tuple(kind for kind in get_args(Kind) if judge.labels.get(kind))
