"""Baselines: the methods that ours is compared with, each from its paper, one in each file.

All receive the same: the names and captions of the model's prompt book, four few-shot images and a
seed. All return an `Intervention`. Their settings are constants in their files, chosen by a small
search on the built-in model: the paper's settings where these forget, else the settings that
forget and retain the most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.forgetting.baselines.esd import esd_x
from benchmarks.forgetting.baselines.hirm import hirm_s
from benchmarks.forgetting.baselines.negative_prompt import negative_prompt
from benchmarks.forgetting.baselines.random_delta import random_delta
from benchmarks.forgetting.baselines.uce import uce
from benchmarks.forgetting.baselines.word_deleted import word_deleted
from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from video.frames import Frames
from video.models.backbone import Backbone

Baseline = Callable[[Backbone, str, Kind, Frames, int], Intervention]
"""(backbone, concept, kind, few-shot images (N,H,W,3) or for a motion clips (N,F,H,W,3), seed) →
the intervention, with the seconds it took."""

BASELINES: Mapping[str, Baseline] = {
    "negative prompt": negative_prompt,
    "word deleted": word_deleted,
    "ESD-x": esd_x,
    "UCE": uce,
    "HiRM-S": hirm_s,
}
"""The baselines by their names in the table. `random_delta` is not among them: it needs another
intervention as its reference."""

__all__ = ["BASELINES", "Baseline", "random_delta"]
