"""The stock pipelines that were tried, and what each wants to be called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedModel, T5EncoderModel, UMT5EncoderModel

from encoders.text_encoder import Padding
from video.families import wan


@dataclass(frozen=True)
class PipelineSpec:
    """What a pipeline that was tried wants to be called with."""

    encoder: type[PreTrainedModel]
    prompt_tokens: int
    padding: Padding
    size: tuple[int, int]
    multiple: int
    """Sides are multiples of it."""
    makes: Callable[[int], int]
    """How many frames it can make that are at least so many; what is beyond is cut off."""
    defaults: Mapping[str, Any]
    frames: str = "num_frames"
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    clean: Callable[[str], str] = lambda prompt: prompt
    full_precision: tuple[str, ...] = ()
    """Components that are computed in float32."""


def packed(together: int) -> Callable[[int], int]:
    """Of a model that packs frames into latents, but for the first: it makes k·n + 1."""
    return lambda frames: frames + (1 - frames) % together


def lowered(prompt: str) -> str:
    """What Latte does to every prompt."""
    return prompt.lower().strip()


SUPPORTED_PIPELINES: Mapping[str, PipelineSpec] = {
    "LTXPipeline": PipelineSpec(
        encoder=T5EncoderModel,
        prompt_tokens=128,
        padding="dropped",
        size=(704, 512),
        multiple=32,
        makes=packed(8),
        defaults={
            "frames_default": 161,
            "frames_max": 257,
            "fps_default": 25,
            "steps_default": 50,
            "guidance_default": 3.0,
        },
        arguments={"max_sequence_length": 128},
    ),
    "LattePipeline": PipelineSpec(
        encoder=T5EncoderModel,
        prompt_tokens=120,
        padding="masked",
        size=(512, 512),
        multiple=16,
        makes=lambda frames: 1 if frames == 1 else 16,  # it has learned positions for these
        defaults={
            "frames_default": 16,
            "frames_max": 16,
            "fps_default": 8,
            "steps_default": 50,
            "guidance_default": 7.5,
        },
        frames="video_length",
        arguments={"clean_caption": False},
        clean=lowered,
    ),
    "MochiPipeline": PipelineSpec(
        encoder=T5EncoderModel,
        prompt_tokens=256,
        padding="masked",
        size=(848, 480),
        multiple=16,
        makes=packed(6),
        defaults={
            "frames_default": 85,
            "frames_max": 163,
            "fps_default": 30,
            "steps_default": 64,
            "guidance_default": 4.5,
        },
        arguments={"max_sequence_length": 256},
    ),
    "WanPipeline": PipelineSpec(
        encoder=UMT5EncoderModel,
        prompt_tokens=wan.PROMPT_TOKENS,
        padding="masked",
        size=wan.SIZE,
        multiple=16,
        makes=packed(4),
        defaults=wan.DEFAULTS,
        arguments={"max_sequence_length": wan.PROMPT_TOKENS},
        clean=wan.clean,
        full_precision=("vae",),
    ),
}
"""By the pipeline's class."""
