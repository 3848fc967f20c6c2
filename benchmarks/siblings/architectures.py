"""The siblings' architectures: text encoders of other kinds, at the size of the built-in one.

Widths and numbers of layers are small; everything else is as in the models that the kinds stand
for: activations, norms, positions, the scales of the initial weights, and what pads a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedModel,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from benchmarks.siblings.plan import Plan

WIDTH = 192
"""Numbers of an embedding: what the built-in denoiser reads."""
ROWS = 32
"""Embeddings of a prompt that the built-in denoiser reads."""
CLIP_MLP = 4 * WIDTH

Pipeline = Literal["AnimateDiffPipeline", "CogVideoXPipeline", "WanPipeline"]


@dataclass(frozen=True)
class Sibling:
    """One text encoder to distil, and the family that loads it."""

    name: str
    stands_for: str
    """Traits that it shares with the text encoders of published models, and which these are."""
    pipeline: Pipeline
    """Class of the pipelines whose family's code loads it."""
    options: Mapping[str, Any]
    """Arguments of the model's configuration."""
    plan: Plan
    """Length and learning rates of its distillation."""
    masks_padding: bool = False
    """True if the family hides padding from the encoder and gives the denoiser zeros for it."""
    outliers: tuple[int, ...] = ()
    """Channels of the residual stream that start at `OUTLIER` times the others' deviation."""
    pad_token: str | None = None
    """Token that pads prompts, if it is not the tokenizer's own."""

    @property
    def is_clip(self) -> bool:
        """True for a CLIP, false for a T5."""
        return self.pipeline == "AnimateDiffPipeline"


OUTLIER = 30.0
"""Size of the outliers, in deviations of the other channels (Sun et al. 2024, arXiv 2402.17762:
"massive activations" of one or two channels, nearly the same for all inputs)."""

_T5: Mapping[str, Any] = {"feed_forward_proj": "gated-gelu", "dropout_rate": 0.0}

SIBLINGS: Mapping[str, Sibling] = {
    one.name: one
    for one in (
        Sibling(
            "clip-12",
            "twelve layers, and outliers in three channels (CLIP ViT-L/14)",
            "AnimateDiffPipeline",
            {"num_hidden_layers": 12, "num_attention_heads": 6, "hidden_act": "gelu"},
            Plan(steps=200, matrix_rate=2e-3, rate=1e-3),
            outliers=(17, 83, 150),
        ),
        Sibling(
            "openclip",
            "wider heads, no last layer, padding is token 0 (OpenCLIP ViT-H in SD 2.x)",
            "AnimateDiffPipeline",
            {"num_hidden_layers": 7, "num_attention_heads": 3, "hidden_act": "gelu"},
            Plan(steps=120, matrix_rate=2e-3, rate=1e-3),
            pad_token="!",
        ),
        Sibling(
            "t5-6",
            "no causal mask, relative positions, padding attended to (T5 v1.1 in CogVideoX)",
            "CogVideoXPipeline",
            {"num_layers": 6, "num_heads": 6, "d_kv": 32, "d_ff": 512, **_T5},
            Plan(steps=600, rate=2e-2, whole_every=1),
        ),
        Sibling(
            "t5-24",
            "as many layers as T5 v1.1 XXL, narrow ones",
            "CogVideoXPipeline",
            {"num_layers": 24, "num_heads": 2, "d_kv": 32, "d_ff": 128, **_T5},
            Plan(steps=300, rate=2e-2, whole_every=1),
        ),
        Sibling(
            "umt5",
            "relative positions in every layer, padding masked, 512 tokens (umT5 in Wan)",
            "WanPipeline",
            {"num_layers": 6, "num_heads": 6, "d_kv": 32, "d_ff": 512, **_T5},
            Plan(steps=1000, rate=2e-2),
            masks_padding=True,
        ),
    )
}


def new_encoder(sibling: Sibling, tokenizer: Any) -> PreTrainedModel:
    """Make a sibling's text encoder with random weights, as its kind is initialised."""
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if sibling.is_clip:
        return CLIPTextModel(
            CLIPTextConfig(
                hidden_size=WIDTH,
                intermediate_size=CLIP_MLP,
                projection_dim=WIDTH,
                max_position_embeddings=ROWS,
                bos_token_id=tokenizer.bos_token_id,
                **ids,
                **sibling.options,
            )
        )
    if sibling.pipeline == "WanPipeline":
        return UMT5EncoderModel(UMT5Config(d_model=WIDTH, **ids, **sibling.options))
    return T5EncoderModel(T5Config(d_model=WIDTH, **ids, **sibling.options))
