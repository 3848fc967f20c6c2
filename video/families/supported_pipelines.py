"""Supported stock pipelines, and the arguments that each of them is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedModel, T5EncoderModel, UMT5EncoderModel

from encoders.text_encoder import Padding
from video.families import wan
from video.models.token_counter import Cleaning


@dataclass(frozen=True)
class PipelineSpec:
    """Properties of a stock pipeline, and the arguments of its call."""

    encoder: type[PreTrainedModel]
    """Class of its text encoder."""
    prompt_tokens: int
    padding: Padding
    size: tuple[int, int]
    """Default width and height of clips in pixels."""
    multiple: int
    """Number of pixels that both sides are multiples of."""
    possible_frames: Callable[[int], int]
    """Maps a number of frames to the smallest possible one above; the surplus is cut off."""
    defaults: Mapping[str, Any]
    """Keyword arguments for `Capabilities`."""
    frames_argument: str = "num_frames"
    """Argument of the call that takes the number of frames."""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of the call."""
    cleaning: Cleaning = Cleaning.NONE
    """Cleaning of a prompt as the pipeline does it, before it is tokenized."""
    full_precision: tuple[str, ...] = ()
    """Components computed in float32."""


def packed(together: int) -> Callable[[int], int]:
    """Return `possible_frames` of a model with k frames in a latent, but for the first: k·n + 1."""
    return lambda frames: frames + (1 - frames) % together


SUPPORTED_PIPELINES: Mapping[str, PipelineSpec] = {
    "LTXPipeline": PipelineSpec(
        encoder=T5EncoderModel,
        prompt_tokens=128,
        padding="dropped",
        size=(704, 512),
        multiple=32,
        possible_frames=packed(8),
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
        possible_frames=lambda frames: (
            1 if frames == 1 else 16
        ),  # the numbers it learned positions for
        defaults={
            "frames_default": 16,
            "frames_max": 16,
            "fps_default": 8,
            "steps_default": 50,
            "guidance_default": 7.5,
        },
        frames_argument="video_length",
        arguments={"clean_caption": False},
        cleaning=Cleaning.LOWER_CASE,
    ),
    "MochiPipeline": PipelineSpec(
        encoder=T5EncoderModel,
        prompt_tokens=256,
        padding="masked",
        size=(848, 480),
        multiple=16,
        possible_frames=packed(6),
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
        possible_frames=packed(4),
        defaults=wan.DEFAULTS,
        arguments={"max_sequence_length": wan.PROMPT_TOKENS},
        cleaning=Cleaning.PLAIN_TEXT,
        full_precision=("vae",),
    ),
}
"""Pipeline class → its specification."""
