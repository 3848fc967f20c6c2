"""Contact sheets of sets: a row for the base and for each method, with the same prompts and seeds.

On the left are stills that name the members, on the right stills of concepts outside the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.forgetting.cases import Case, first, target_cases
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.many import kept_of
from benchmarks.forgetting.pictures import GAP
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.forgetting.sets import Members

OTHERS = 6
"""Pictures of concepts outside the set."""


def contact_sheet(
    experiment: Experiment, members: Members, rows: Sequence[Intervention | None]
) -> Image.Image:
    """Draw the first case of each member that is no motion, then cases of others, row by row.

    They are the first cases of the lists that the figures count.
    """
    still: Members = [one for one in members if one[1] != "motion"]
    book = experiment.backbone.prompts
    named = [first(target_cases(*one, book, is_video=False), 1)[0] for one in still]
    others = [
        case
        for one in still[:OTHERS]
        for case in islice(kept_of(one, members, "same kind", experiment.backbone), 1)
    ]
    lines = [_line(experiment, (named, others), row) for row in rows]
    between = np.full((GAP, lines[0].shape[1], 3), 255, np.uint8)
    whole = [part for line in lines for part in (line, between)][:-1]
    return Image.fromarray(np.concatenate(whole))


def save_sheet(
    experiment: Experiment, members: Members, rows: Sequence[Intervention | None], path: Path
) -> Path:
    """Write a contact sheet in 256 colours."""
    contact_sheet(experiment, members, rows).quantize(256).save(path, optimize=True)
    return path


def _line(
    experiment: Experiment, blocks: Sequence[Sequence[Case]], intervention: Intervention | None
) -> np.ndarray:
    """Return one row: the blocks of stills side by side, with a gap between them."""
    shots = [SampleRequest(case.prompt, case.seed) for block in blocks for case in block]
    stills = sample(experiment.backbone, shots, is_video=False, intervention=intervention)
    frames = [frames[0] for frames in stills]
    gap = np.full((len(frames[0]), GAP, 3), 255, np.uint8)
    count = len(blocks[0])
    return np.concatenate([*frames[:count], gap, *frames[count:]], axis=1)
