"""What ours is compared with: each method from its own paper, one file each.

All see the same: the names and the captions of the model's prompt book, four few-shot images, a
seed. All leave an `Intervention`. Their settings are constants in their files, each with what a
small search on the built-in model said: the paper's own where they forget, else what forgets
while keeping the most.
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
what it leaves behind, and the seconds it took."""

BASELINES: Mapping[str, Baseline] = {
    "negative prompt": negative_prompt,
    "word deleted": word_deleted,
    "ESD-x": esd_x,
    "UCE": uce,
    "HiRM-S": hirm_s,
}
"""By the name that a table calls them. `random_delta` is not among them: it takes the intervention
that it is the like of."""

__all__ = ["BASELINES", "Baseline", "random_delta"]
