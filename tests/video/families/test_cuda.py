"""Every family on a GPU: it draws nearly what it draws on the CPU, and encoders are made there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from encoders import Concept
from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video import load_backbone
from video.models.backbone import Backbone

from .test_precision import FAMILIES, TWINS, frames

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]


def load(model_zoo: ModelZoo, family: str, device: str) -> Backbone:
    twin = model_zoo.twin(family) if family in TWINS else None
    return load_backbone(
        model_zoo.model(family), device=device, dtype=torch.float32, size=(SIDE, SIDE), twin=twin
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clip_is_near_the_cpus(model_zoo: ModelZoo, family: str) -> None:
    gpu, cpu = (frames(load(model_zoo, family, device), 5) for device in ("cuda", "cpu"))
    assert cpu.std() > 5
    assert np.abs(gpu - cpu).mean() < 3


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_is_made_and_goes_on_from_a_checkpoint(model_zoo: ModelZoo, family: str) -> None:
    backbone = load(model_zoo, family, "cuda")
    task = UnlearnTask((Concept(name="pogo", kind="character"),), UnlearnSettings(steps=6))
    through = unlearn(task, backbone)
    losses = [progress.loss for progress in through]
    assert np.isfinite(losses).all()
    first = unlearn(task, backbone)
    for _ in range(3):
        next(first)
    again = unlearn(task, backbone, first.checkpoint())
    assert [progress.step for progress in again] == [4, 5, 6]
    assert again.losses == pytest.approx(losses, rel=1e-2)  # some kernels add in any order
