"""One picture for each concept: base above, encoder below, with the same prompts and seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.forgetting.cases import KIND_OF, Case, first
from benchmarks.forgetting.experiment import Experiment, cases
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.sampling import SampleRequest, sample
from video.frames import Frames

TARGETS, OTHERS = 6, 3
FRAMES = 3
"""Frames shown of a clip about a motion; of other clips, the middle frame is shown."""
SCALE = 2
GAP = 4


def picture(experiment: Experiment, method: str, concept: str) -> Image.Image:
    """Draw frames of clips of the concept, of others of its kind, then stills of other kinds.

    They are the first cases of the lists that the figures count.
    """
    kind = KIND_OF[concept]
    moves = kind == "motion"
    each = FRAMES if moves else 1
    asked: list[list[Case]] = [
        first(cases(concept, kind, "target", experiment.backbone, is_video=True), TARGETS // each),
        first(
            cases(concept, kind, "same kind", experiment.backbone, is_video=moves), OTHERS // each
        ),
        first(cases(concept, kind, "other kinds", experiment.backbone, is_video=False), OTHERS),
    ]
    rows: list[Frames] = []
    for intervention in (None, experiment.intervention(method, concept)):
        blocks = [
            np.concatenate([_frames(experiment, case, intervention) for case in block], axis=1)
            for block in asked
        ]
        gap = np.full((len(blocks[0]), GAP, 3), 255, np.uint8)
        rows.append(np.concatenate([blocks[0], gap, blocks[1], gap, blocks[2]], axis=1))
    between = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    image = Image.fromarray(np.concatenate([rows[0], between, rows[1]]))
    return image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)


def save_picture(experiment: Experiment, method: str, concept: str, folder: Path) -> Path:
    """Write `<folder>/<concept>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{concept}.png"
    # 256 colours: a third of the bytes, and no difference that the eye finds.
    picture(experiment, method, concept).quantize(256).save(path, optimize=True)
    return path


def _frames(experiment: Experiment, case: Case, intervention: Intervention | None) -> Frames:
    """Return the case's middle frame; for a clip about a motion, `FRAMES` frames side by side."""
    shot = SampleRequest(case.prompt, case.seed)
    [frames] = sample(
        experiment.backbone, [shot], is_video=case.is_video, intervention=intervention
    )
    count = FRAMES if case.kind == "motion" and case.is_video else 1
    chosen = [int((i + 0.5) * len(frames) / count) for i in range(count)]
    return np.concatenate(frames[chosen], axis=1)
