"""What a clip shows: every concept that the judge sees in it, not just one that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol, get_args, runtime_checkable

from encoders import Kind

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.frames import Frames

Seen = Mapping[tuple[str, Kind], list[bool]]
"""A concept of the judge's `labels`, by name and kind → for each frame, if it shows it."""

SUBJECTS: tuple[Kind, ...] = ("object", "character", "person")


@runtime_checkable
class SeesAll(Protocol):
    """A judge that looks for all of its labels at once, which is faster than one by one."""

    def seen(self, frames: Frames, kinds: Collection[Kind]) -> Seen:
        """Tell for each label of some kinds, and each frame (F,H,W,3), if it shows it."""
        ...


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
