"""Sample sizes: the number of pictures for each concept."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SampleSizes:
    """Pictures for each concept, by what they are for. Prompts about a motion take clips."""

    target_clips: int
    base_clips: int
    """Clips of the base, with the same prompts; few are enough to see that it shows the concept."""
    target_stills: int
    apart_clips: int
    """Clips of the video model that was trained apart."""
    wording: int
    kept: int
    kept_motions: int
    neighbours: int
    neighbouring_motions: int
    kept_clips: int
    attacked: int
    attacked_motions: int
    decide: bool
    """Stop making clips once the interval lies on one side of the goal."""


# Clips are expensive. Telling a rate above 97 % from one below takes many; showing that a baseline
# leaves the concept in one clip of ten takes fewer.
FULL = SampleSizes(
    target_clips=50,
    base_clips=10,
    target_stills=50,
    apart_clips=10,
    wording=24,
    kept=50,
    kept_motions=20,
    neighbours=30,
    neighbouring_motions=10,
    kept_clips=3,
    attacked=16,
    attacked_motions=6,
    decide=False,
)
BASELINE = SampleSizes(
    target_clips=6,
    base_clips=6,
    target_stills=24,
    apart_clips=0,
    wording=12,
    kept=24,
    kept_motions=7,
    neighbours=12,
    neighbouring_motions=4,
    kept_clips=0,
    attacked=16,
    attacked_motions=6,
    decide=True,
)
THROUGH_TRIGGER = replace(FULL, target_clips=3, base_clips=3, kept_clips=0)
VARIANT = replace(BASELINE, target_clips=0, base_clips=0, decide=False)
COARSE = replace(
    BASELINE,
    target_clips=1,
    base_clips=1,
    target_stills=4,
    wording=1,
    kept=3,
    kept_motions=1,
    neighbours=1,
    neighbouring_motions=1,
    decide=False,
)
