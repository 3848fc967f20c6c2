"""Distance: how far an encoder's pictures of other concepts are from the base's own.

A judge that sees the right class does not see that a blue body has turned violet. So the frames
themselves are compared, base and encoder with the same prompt and seed. Their distance is the mean
absolute difference of the pixels, D. What D means depends on the model and on its pictures; the
unit is therefore what another seed changes in the base's own pictures:

    retain distance  =  mean of D(encoder's, base's)  /  mean of D(base's with another seed, base's)

over the probes of other concepts, and over a few of them for the unit (`Probe.again`). 0: the
pictures are the base's; 1: they differ from them as much as the base's own do from seed to seed.
No network is needed, and no judge: it is the same measure for every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearn.trial.outcomes import Outcome
    from video.frames import Frames

LEAST_UNIT = 1.0
"""The smallest unit, in levels of 255: below it, pictures do not depend on the seed."""


def distance(one: Frames, other: Frames) -> float:
    """Return the mean absolute difference of two clips (F,H,W,3) uint8, 0 to 255.

    Of clips of different lengths, the frames that both have are compared.
    """
    import numpy as np  # not needed by those who only plan probes

    frames = min(len(one), len(other))
    difference = one[:frames].astype(np.int16) - other[:frames].astype(np.int16)
    return float(np.abs(difference).mean())


def distance_measures(retain: Sequence[Outcome]) -> dict[str, Any]:
    """Return the `retain_distance` of other concepts' outcomes, with its unit and n.

    The distance is null if no picture was made with another seed.
    """
    moved = [one.distance for one in retain if one.distance is not None]
    seeds = [one.seed_distance for one in retain if one.seed_distance is not None]
    unit = max(LEAST_UNIT, fsum(seeds) / len(seeds)) if seeds else None
    mean = fsum(moved) / len(moved) / unit if moved and unit else None
    return {
        "retain_distance": None if mean is None else round(mean, 4),
        "retain_distance_worst": round(max(moved) / unit, 4) if moved and unit else None,
        "retain_distance_unit": None if unit is None else round(unit, 2),
        "retain_distance_n": len(moved),
    }
