"""Clips to mark: made by the built-in model, or drawn by the renderer that it learned from."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from starter.scene import sample_scene

if TYPE_CHECKING:
    from video.frames import Frames
    from video.models.backbone import Backbone

SECRET = b"a secret that only this benchmark has"
WINDOW = 1000
"""Candidates of a record: what a server that makes a clip every two seconds makes in 33 minutes."""
SIDE = 512
"""Pixels of a delivered clip of the built-in model, by default."""


def video_ids(count: int = WINDOW) -> list[str]:
    """Return ids of videos, as a server gives them."""
    return [f"video_{number:032x}" for number in range(count)]


def rendered(seed: int, frames: int = 12) -> Frames:
    """Draw the clip (frames,64,64,3) of a random scene."""
    return sample_scene(np.random.default_rng([11, seed])).clip(frames)


def generated(seed: int) -> Frames:
    """Make a clip (12,64,64,3) of a random prompt with the built-in model."""
    from benchmarks.forgetting.sampling import SampleRequest, sample

    prompt = str(np.random.default_rng([12, seed]).choice(_prompts()))
    return sample(load_model(), [SampleRequest(prompt, seed)], is_video=True)[0]


@cache
def load_model() -> Backbone:
    """Load the built-in model, once in a process."""
    import torch

    from benchmarks.harness import WEIGHTS
    from video import load_backbone
    from video.models.precision import best_dtype

    torch.set_num_threads(1)  # two processes make clips at the same time
    return load_backbone(WEIGHTS, device="cpu", dtype=best_dtype("cpu"))


@cache
def _prompts() -> list[str]:
    from benchmarks.harness import WEIGHTS

    return json.loads((WEIGHTS / "prompts.json").read_text())["retain"]
