"""Helpers of the benchmarks' tests: apply a method, embed prompts, compare weights."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.forgetting.baselines import BASELINES
from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from video.frames import Frames
from video.models.backbone import Backbone


def few_shots(kind: Kind) -> Frames:
    """Return black pictures, or clips if the kind is a motion."""
    shape = (2, 3, 64, 64, 3) if kind == "motion" else (2, 64, 64, 3)
    return np.zeros(shape, np.uint8)


def made(backbone: Backbone, method: str, concept: str, kind: Kind, seed: int = 0) -> Intervention:
    """Run a method on black few-shot images."""
    return BASELINES[method](backbone, concept, kind, few_shots(kind), seed)


def embed(backbone: Backbone, *prompts: str) -> torch.Tensor:
    """Return the embeddings of prompts, (N,L,D)."""
    return backbone.text_encoder.encode(backbone.tokenize(list(prompts)))


def weights_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Return copies of every parameter that a method could have changed."""
    found = {f"text.{n}": t.clone() for n, t in backbone.text_encoder.parameters().items()}
    for is_video in (False, True):
        for name, tensor in backbone.denoiser(is_video).network.named_parameters():
            found[f"{is_video}.{name}"] = tensor.detach().clone()
    return found


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Return True if two sets of weights are equal, bit for bit, and not empty."""
    return bool(a) and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
