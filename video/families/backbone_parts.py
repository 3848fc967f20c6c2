"""Builder of the parts that every family's backbone has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encoders.text_encoder import TextEncoder
from video.capabilities import Capabilities
from video.checkpoints.diffusers_directory import ModelFiles
from video.families.options import Options
from video.models.backbone import BackboneParts
from video.models.prompt_book import read_defaults, read_prompts
from video.models.tokens import Tokens


def backbone_parts(
    files: ModelFiles,
    options: Options,
    tokens: Tokens,
    text_encoder: TextEncoder,
    size: tuple[int, int],
    defaults: Mapping[str, Any],
) -> BackboneParts:
    """Put a backbone's parts together.

    Args:
        files: the model's directory, with its prompt book if it has one.
        options: with the model's name.
        tokens: the model's tokenizer.
        text_encoder: the base.
        size: width and height of clips in pixels.
        defaults: the family's keyword arguments for `Capabilities`; the prompt book overrides them.

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
