"""HiRM: the text encoder's first layer trained until its last one says something else."""

from __future__ import annotations

from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from unlearn.layers import select
from unlearn.prompts import all_names, captions
from video.frames import Frames
from video.models.backbone import Backbone

STEPS = 30
LEARNING_RATE = 5e-4
BATCH_SIZE = 16
"""Searched on pogo, mira, balloon and neonix: these forget all of 8 stills each and of 12 others of
the kind keep 10, 10, 12 and 12 (the base 11, 12, 12, 12). Half the steps keep one more of pogo's
and of mira's kind but forget 8, 8, 7 and 3; 75 steps at 3e-4 forget 7 of neonix."""


def hirm_s(backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int) -> Intervention:
    """min_φ ‖τ_φ(y) − τ₀(a)‖² over the first layer's parameters.

    In the manner of HiRM-S (Lee et al., ICLR 2026, arXiv 2602.19631): where to write (layer 0) is
    kept apart from where to look (the last layer's hidden states), and the concept's prompt is
    misdirected to its super-category. No images, no denoiser, nothing that is held on to.

    y: the concept under all its names in several sentences; a: the same sentences with the
    generic word of its kind, for a style or a motion with nothing. Every token's state counts: the
    denoiser looks at all of them.

    Args:
        images: not used.
    """
    began = perf_counter()
    random = torch.Generator("cpu").manual_seed(seed)
    encoder = backbone.text_encoder
    synonyms = all_names(concept, kind, (), backbone.prompts)[1:]
    pairs = captions(concept, kind, synonyms, book=backbone.prompts)
    tokens = backbone.tokenize([pair.prompt for pair in pairs])
    with torch.no_grad():
        targets = encoder.encode(backbone.tokenize([pair.anchor for pair in pairs])).float()
    base = encoder.parameters()
    overrides: dict[str, Tensor] = {
        name: base[name].float().clone().requires_grad_() for name in select(base, "first")
    }
    adam = torch.optim.Adam(overrides.values(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        some = torch.randperm(len(pairs), generator=random)[:BATCH_SIZE]
        with torch.enable_grad():
            loss = mse_loss(encoder.encode(tokens[some], overrides).float(), targets[some])
            adam.zero_grad()
            loss.backward()
        adam.step()
    found = {name: override.detach() for name, override in overrides.items()}
    return Intervention("HiRM-S", concept, kind, overrides=found, seconds=perf_counter() - began)
