"""Few shots: the pictures that methods learn a concept from, made by the base model."""

from __future__ import annotations

from benchmarks.forgetting.sampling import SampleRequest, sample
from encoders import Kind
from unlearn.few_shots import few_shot_requests, few_shots_of
from video.frames import Frames
from video.models.backbone import Backbone


def few_shots(backbone: Backbone, concept: str, kind: Kind) -> Frames:
    """Make four stills of a concept, (4,H,W,3); for a motion four clips, (4,F,H,W,3)."""
    requests = few_shot_requests(
        concept, kind, capabilities=backbone.capabilities, book=backbone.prompts
    )
    shots = [SampleRequest(request.prompt, request.seed) for request in requests]
    return few_shots_of(sample(backbone, shots, is_video=kind == "motion"), kind)
