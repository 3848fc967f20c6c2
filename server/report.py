"""The files beside a published encoder: same prompts and seeds, before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from unlearn import Plan
    from unlearn.judging import Probe
    from video.backbone import Frames

_SIZE = (256, 256)
_COLUMNS = 12


def shown_of(probes: Sequence[Probe]) -> list[Probe]:
    """Those of the probes asked that the report shows: the first few of what is to be forgotten and
    of what is to be kept. Every round begins with clips, so that some are among them."""
    return [
        probe
        for is_target in (True, False)
        for probe in [probe for probe in probes if probe.is_target == is_target][:_COLUMNS]
    ]


def report_of(
    plan: Plan,
    clips: Sequence[Frames],
    losses: Sequence[float],
    measures: Mapping[str, Any],
    fps: int,
) -> dict[str, bytes]:
    """File name → content.

    Args:
        plan: the probes that are shown (:func:`shown_of`); they say which clip is which.
        clips: the clips of ``plan.requests()``: the base's and the encoder's in turn.
        losses: the objective at every optimisation step.
        measures: what the judge saw.
        fps: frames a second of the clips.
    """
    from video import clip

    pairs = list(zip(plan.probes, clips[::2], clips[1::2], strict=True))
    files = {
        "measures.json": json.dumps(measures, indent=2).encode(),
        "losses.json": json.dumps(losses).encode(),
    }
    for is_target, name in ((True, "forgotten"), (False, "kept")):
        chosen = [pair for pair in pairs if pair[0].is_target == is_target]
        moving = [pair for pair in chosen if pair[0].base.frames is not None]
        if moving:
            _, before, after = moving[0]
            files[f"{name}-before.mp4"] = clip.encode_mp4(before, fps, _SIZE)
            files[f"{name}-after.mp4"] = clip.encode_mp4(after, fps, _SIZE)
        if chosen:
            rows = (
                [_middle(before) for _, before, _ in chosen],
                [_middle(after) for _, _, after in chosen],
            )
            sheet = np.concatenate([np.concatenate(row, 1) for row in rows], 0)
            files[f"{name}.png"] = clip.to_image(sheet, "png")
    return files


def _middle(frames: Frames) -> Frames:
    return frames[len(frames) // 2]
