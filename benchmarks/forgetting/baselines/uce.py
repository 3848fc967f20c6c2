"""UCE: a closed-form edit of the keys and values of the denoiser's cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.forgetting.baselines.cross_attention import cross_attention
from benchmarks.forgetting.baselines.edited_tokens import edited_tokens
from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from video.frames import Frames
from video.models.backbone import Backbone

PRESERVE_SCALE = 1.0
LAMBDA = 0.5
"""The defaults of the paper's public implementation. Searched on pogo, mira, balloon and neonix:
they forget all 8 stills of each, and of 12 others of the kind they keep 11, 12, 10 and 12 (the base
shows 11, 12, 12 and 12). The earlier defaults, 0.1 and 0.1 on all tokens from the concept's last
one, forget as much and keep less (4 of 6 of mira's kind); so do edits of whole sentences (3 of 6 of
pogo's)."""


def uce(backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int) -> Intervention:
    """Edit the cross-attention so that it forgets one concept: `uce_edit`.

    Nothing is random: `images` and `seed` are not used.
    """
    began = perf_counter()
    edit = uce_edit(backbone, [(concept, kind)])
    return Intervention("UCE", concept, kind, denoiser=edit, seconds=perf_counter() - began)


@torch.no_grad()
def uce_edit(backbone: Backbone, concepts: Sequence[tuple[str, Kind]]) -> dict[str, Tensor]:
    """Return `to_k` and `to_v` of all cross-attention by eq. 7 of Gandikota et al. 2024 (`solve`).

    The paper is arXiv 2308.14761. Its sums run over all concepts at once. Edited: every name of the
    concepts, towards its kind's generic word; for a style or a motion, towards the empty prompt.
    Preserved: every name of the book's other concepts, of which the other methods' retention
    captions are made.

    Args:
        backbone: the base model.
        concepts: the concepts that are forgotten, as (name, kind).
    """
    tokens = edited_tokens(backbone, concepts)
    return {
        name: solve(weight, tokens.edited, tokens.destination, tokens.preserved)
        for name, weight in cross_attention(backbone).items()
        if name.endswith((".to_k.weight", ".to_v.weight"))
    }


def solve(weight: Tensor, edited: Tensor, destination: Tensor, preserved: Tensor) -> Tensor:
    """Return the W that maps each edited c as W₀ maps its destination a, and stays near W₀ else.

    Each preserved p is mapped as W₀ maps it:

        W = (Σ_E W₀a cᵀ + Σ_P W₀p pᵀ + λW₀) (Σ_E c cᵀ + Σ_P p pᵀ + λI)⁻¹

    Args:
        weight: W₀, (O,D).
        edited, destination: c and a, (E,D), row by row.
        preserved: p, (P,D).

    Returns:
        W, (O,D) float32; solved in float64.
    """
    w0, c, a, p = (each.double() for each in (weight, edited, destination, preserved))
    kept = PRESERVE_SCALE * p.T @ p + LAMBDA * torch.eye(c.shape[1]).to(p)
    left = w0 @ a.T @ c + w0 @ kept
    return torch.linalg.solve(c.T @ c + kept, left, left=False).float()
