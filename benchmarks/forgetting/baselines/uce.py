"""UCE: a closed-form edit of the keys and values of the denoiser's cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.forgetting.baselines.cross_attention import cross_attention
from benchmarks.forgetting.baselines.phrase import phrase
from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from unlearn.prompts import GENERIC, all_names, mentions
from video.frames import Frames
from video.models.backbone import Backbone
from video.models.prompt_book import PromptBook

PRESERVE_SCALE = 1.0
LAMBDA = 0.5
"""The defaults of the paper's public implementation. Searched on pogo, mira, balloon and neonix:
they forget all 8 stills of each, and of 12 others of the kind they keep 11, 12, 10 and 12 (the base
shows 11, 12, 12 and 12). The earlier defaults, 0.1 and 0.1 on all tokens from the concept's last
one, forget as much and keep less (4 of 6 of mira's kind); so do edits of whole sentences (3 of 6 of
pogo's)."""


@torch.no_grad()
def uce(backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int) -> Intervention:
    """Edit `to_k` and `to_v` of all cross-attention by eq. 7 of Gandikota et al. 2024 (`solve`).

    The paper is arXiv 2308.14761. Edited: every name of the concept, towards its kind's generic
    word; for a style or a motion, towards the empty prompt. Preserved: every name of the book's
    other concepts, of which the other methods' retention captions are made. Nothing is random:
    `images` and `seed` are not used.
    """
    began = perf_counter()
    book = backbone.prompts
    names = all_names(concept, kind, (), book)
    generic = {**GENERIC, **book.generic}[kind]
    edited = _last_tokens(backbone, [phrase(name, kind) for name in names])
    destination = _last_tokens(backbone, [generic] * len(names))
    preserved = _last_tokens(backbone, _others(names, book))
    edit = {
        name: solve(weight, edited, destination, preserved)
        for name, weight in cross_attention(backbone).items()
        if name.endswith((".to_k.weight", ".to_v.weight"))
    }
    return Intervention("UCE", concept, kind, denoiser=edit, seconds=perf_counter() - began)


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


def _last_tokens(backbone: Backbone, phrases: Sequence[str]) -> Tensor:
    """Return the embedding of each phrase's last token before the end token, (N,D).

    The paper's public implementation does so since 2024: in a causal text encoder that token has
    attended to the whole phrase, so that concepts of different lengths can be aligned. An empty
    phrase gives the start token, which is the same in every prompt.
    """
    embeddings = backbone.text_encoder.encode(backbone.tokenize(phrases))
    last = [backbone.prompt_tokens(phrase) - 2 for phrase in phrases]
    return embeddings[range(len(phrases)), last]


def _others(names: Sequence[str], book: PromptBook) -> list[str]:
    """Return every name of the book's concepts, except those that mention one of `names`."""
    phrases = [
        phrase(name, kind)
        for kind, concepts in book.concepts.items()
        for concept, synonyms in concepts.items()
        for name in (concept, *synonyms)
    ]
    return [other for other in phrases if not mentions(other, names)]
