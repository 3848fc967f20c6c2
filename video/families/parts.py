"""What every family's backbone has, put together from its files and its usual defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.families.options import Options
from video.models.backbone import BackboneParts, Capabilities
from video.models.prompt_book import read_defaults, read_prompts
from video.models.tokens import Tokens


def parts_of(
    files: ModelFiles,
    options: Options,
    tokens: Tokens,
    text_encoder: TextEncoder,
    size: tuple[int, int],
    defaults: Mapping[str, Any],
) -> BackboneParts:
    """Args:
        size: width and height that clips are made at.
        defaults: of `Capabilities`, where the model's prompt book does not say.

    Raises:
        BackboneInvalid: the prompt book cannot be read.
    """
    width, height = size
    return BackboneParts(
        name=options.name,
        tokens=tokens,
        text_encoder=text_encoder,
        capabilities=Capabilities(
            native_width=width,
            native_height=height,
            prompt_tokens=tokens.length,
            **{**defaults, **read_defaults(files.directory)},
        ),
        prompts=read_prompts(files.directory),
    )
