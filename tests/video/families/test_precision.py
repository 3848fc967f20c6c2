"""Every family in half precision, as it runs on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from encoders import Concept
from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video import GenerationRequest, load_backbone
from video.models.backbone import Backbone

FAMILIES = ["animatediff", "modelscope", "cogvideox", "cogvideox-1.5", "wan", "ltx", "latte"]
TWINS = ("modelscope", "cogvideox", "cogvideox-1.5")
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)


def load(model_zoo: ModelZoo, family: str, dtype: torch.dtype) -> Backbone:
    options: dict[str, Any] = {"size": (SIDE, SIDE)}
    if family in TWINS:
        options["twin"] = model_zoo.twin(family)
    return load_backbone(model_zoo.model(family), dtype=dtype, **options)


@torch.no_grad()
def frames(backbone: Backbone, count: int | None) -> Any:
    asked = GenerationRequest("pogo at night", steps=3, frames=count, guidance=2.0)
    is_video = count is not None
    run = backbone.begin(asked, backbone.prompt_encoder(is_video=is_video))
    for _ in range(run.steps):
        backbone.step([run])
    made = run.decode()
    run.close()
    return made.astype(int)


@pytest.mark.parametrize("count", [None, 5], ids=["still", "clip"])
@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_near_float32(model_zoo: ModelZoo, family: str, count: int | None) -> None:
    low, high = (load(model_zoo, family, dtype) for dtype in (torch.bfloat16, torch.float32))
    assert low.text_encoder.fingerprint == high.text_encoder.fingerprint, "one base, either way"
    half, full = frames(low, count), frames(high, count)
    assert half.shape == full.shape
    assert np.abs(half - full).mean() < 12
    assert full.std() > 5


@pytest.mark.parametrize("family", ["animatediff", "modelscope", "cogvideox", "wan"])
def test_an_encoder_is_made_in_bfloat16_with_its_factors_in_float32(
    model_zoo: ModelZoo, family: str
) -> None:
    backbone = load(model_zoo, family, torch.bfloat16)
    settings = UnlearnSettings(method="ascent", steps=4, learning_rate=1e-2, rank=2)
    task = UnlearnTask((Concept(name="pogo", kind="character"),), settings, (IMAGES,))
    run = unlearn(task, backbone)
    losses = [progress.loss for progress in run]
    assert np.isfinite(losses).all()
    assert run.encoder.overrides
    precision = torch.float32 if family in ("animatediff", "modelscope") else torch.bfloat16
    assert backbone.text_encoder.module.dtype == precision
    assert backbone.denoiser(is_video=False).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("family", "expected"),
    [("modelscope", torch.float32), ("cogvideox", torch.bfloat16), ("ltx", torch.bfloat16)],
)
def test_no_text_encoder_is_computed_in_float16(
    model_zoo: ModelZoo, family: str, expected: torch.dtype
) -> None:
    backbone = load(model_zoo, family, torch.float16)
    assert backbone.dtype == torch.float16
    assert {p.dtype for p in backbone.text_encoder.parameters().values()} == {expected}
    assert backbone.embed(["pogo"]).isfinite().all()
