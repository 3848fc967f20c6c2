"""Outcomes: what the judge and the pixels say of a probe's two clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import Concept, Kind
from unlearn.judges.seen import SUBJECTS, Seen, kinds_of, rivals, seen_by, verdict_changes
from unlearn.prompts import mentions
from unlearn.trial.distance import distance
from unlearn.trial.probes import any_frame, most_frames

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from unlearn.trial.probes import Probe
    from video.frames import Frames


@dataclass(frozen=True)
class Outcome:
    """A probe, the judge's answers, and the distance of the two clips."""

    probe: Probe
    by_base: bool
    """True if the base's clip shows the concept that the probe looks for."""
    by_encoder: bool
    """True if the encoder's clip shows it."""
    redirected_to: str | None = None
    """Another concept that the encoder's clip shows in place of a forgotten one."""
    valid_base: bool = True
    """True if the base's clip is a picture of something (`outcome_of`)."""
    valid_encoder: bool = True
    """True if the encoder's clip is."""
    distance: float | None = None
    """The distance of the two clips (`unlearn.trial.distance`); None if it was not measured."""
    seed_distance: float | None = None
    """The distance of the base's clip to its own with another seed; None if none was made."""
    wavering: bool | None = None
    """True if the verdict on either clip changes with the number of distractors that the judge
    sets the concept against; None for a judge that uses none."""


def outcome_of(
    probe: Probe,
    base: Frames,
    encoder: Frames,
    judge: Judge,
    *,
    forgotten: Sequence[Concept] = (),
    again: Frames | None = None,
) -> Outcome:
    """Judge both clips (F,H,W,3) of a probe.

    For a target probe any frame that shows the concept counts, for a retain probe most must. The
    judge gets the base's clip beside the encoder's. A target probe's clip by the encoder must show
    none of `forgotten` either: one concept's prompts must not lead to another's.

    *Redirected*: most frames of a target probe's clip by the encoder show another concept that
    could stand in its place, which neither the prompt names nor any frame of the base's shows.

    *Valid*: of a retain probe, most frames show an object, character or person, or a style. What a
    forgotten concept leaves is nothing with a name, so a target probe's clip by the encoder is
    valid if the judge sees the same of the other kinds in it as in the base's: the style of a
    character's prompt, the subject of a style's.

    Args:
        probe: the probe.
        base: the base's clip.
        encoder: the encoder's clip.
        judge: the judge.
        forgotten: all concepts that are to be forgotten.
        again: the base's clip for `probe.again`, where that was made.
    """
    rule = any_frame if probe.is_target else most_frames
    looked_for: set[tuple[str, Kind]] = {(probe.concept, probe.kind)}
    if probe.is_target:
        looked_for |= {(concept.name, concept.kind) for concept in forgotten}
    kinds: list[Kind] = [
        kind for kind in kinds_of(judge) if kind in (*SUBJECTS, "style", probe.kind)
    ]
    before, after = (seen_by(judge, frames, kinds) for frames in (base, encoder))
    valid_base, valid_encoder = _valid(probe, before, after)
    changes = [
        verdict_changes(judge, frames, probe.concept, probe.kind, rule)
        for frames in (base, encoder)
    ]
    return Outcome(
        probe,
        rule(judge.shows(base, probe.concept, probe.kind)),
        any(rule(judge.shows(encoder, *one, base=base)) for one in sorted(looked_for)),
        redirected_to=_redirected(probe, before, after, looked_for) if probe.is_target else None,
        valid_base=valid_base,
        valid_encoder=valid_encoder,
        distance=None if probe.is_target else round(distance(encoder, base), 3),
        seed_distance=None if again is None else round(distance(again, base), 3),
        wavering=None if None in changes else True in changes,
    )


def _redirected(
    probe: Probe, before: Seen, after: Seen, looked_for: set[tuple[str, Kind]]
) -> str | None:
    for (label, kind), shown in after.items():
        if (
            kind in rivals(probe.kind)
            and (label, kind) not in looked_for
            and most_frames(shown)
            and not any_frame(before[label, kind])
            and not mentions(probe.base.prompt, [label])
        ):
            return label
    return None


def _valid(probe: Probe, before: Seen, after: Seen) -> tuple[bool, bool]:
    if probe.is_target:
        beside = [one for one in before if one[1] not in rivals(probe.kind)]
        return True, all(most_frames(before[one]) == most_frames(after[one]) for one in beside)
    first, second = (
        any(most_frames(shown) for (_, kind), shown in seen.items() if kind != "motion")
        for seen in (before, after)
    )
    return first, second
