"""The service with a model that waits instead of computing: `bentoml serve …waiting:Palimpsest`.

Eight replicas on two cores would measure the cores. So the built-in model's denoiser waits for
`WAITING_STEP_S` seconds a step, and its clips are grey. The text encoder, the engine and everything
else of the server are the real ones.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server import loading
from service import Palimpsest
from video.frames import Frames
from video.models.denoiser import Denoiser

__all__ = ["Palimpsest"]

_STEP_S = float(os.environ.get("WAITING_STEP_S", "0.1"))
_load = loading.load_backbone


def _waiting(*args: Any, **kwargs: Any) -> Any:
    backbone = _load(*args, **kwargs)
    for is_video in (True, False):
        _make_wait(backbone.denoiser(is_video))
    return backbone


def _make_wait(denoiser: Denoiser) -> None:
    width, height = denoiser.size

    def predict(latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        time.sleep(_STEP_S)
        return torch.zeros_like(latents)

    def decode(latents: Tensor, frames: int | None = None) -> Frames:
        return np.full((frames or 1, height, width, 3), 128, np.uint8)

    denoiser.predict = predict
    denoiser.decode = decode


loading.load_backbone = _waiting
