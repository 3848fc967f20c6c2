"""A sibling as a model: its directory, and the loading of it by the code of its family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.harness import WEIGHTS
from benchmarks.siblings.architectures import ROWS, Sibling
from encoders.atomic_files import write_atomically
from video import load_backbone
from video.checkpoints.diffusers_directory import ModelFiles, read_index
from video.families import FAMILIES
from video.families.backbone_parts import backbone_parts
from video.families.options import Options
from video.families.protocol import family_module
from video.models.backbone import Backbone
from video.models.denoiser import Denoiser
from video.models.native import NativeBackbone

STARTER_PARTS = ("unet", "vae", "scheduler", "motion_adapter", "prompts.json", "judge")
"""Parts of the built-in model that a sibling's directory links to."""
INDEX = "model_index.json"


def assemble(directory: Path, sibling: Sibling, encoder: PreTrainedModel, tokenizer: Any) -> None:
    """Write a sibling's directory, in the layout of its family; the index last.

    Args:
        directory: Made if it does not exist. A complete directory has an index.
        sibling: Its description.
        encoder: The text encoder.
        tokenizer: Of the class that the family expects.
    """
    directory.mkdir(parents=True, exist_ok=True)
    encoder.save_pretrained(directory / "text_encoder")
    tokenizer.save_pretrained(directory / "tokenizer")
    for part in STARTER_PARTS:
        if not (directory / part).exists():
            (directory / part).symlink_to(WEIGHTS / part)
    index = read_index(WEIGHTS)
    if not sibling.is_clip:
        # Its denoiser is the built-in one. CogVideoX's says how long its prompts are.
        (directory / "transformer").mkdir(exist_ok=True)
        length = json.dumps({"max_text_seq_length": ROWS})
        write_atomically(directory / "transformer" / "config.json", length.encode())
    index |= {
        "_class_name": sibling.pipeline,
        "tokenizer": ["transformers", type(tokenizer).__name__],
        "text_encoder": ["transformers", type(encoder).__name__],
    }
    write_atomically(directory / INDEX, json.dumps(index, indent=2).encode())


def load_sibling(directory: Path) -> Backbone:
    """Load a sibling with its prompts, by the code of its family.

    That of a CLIP is a whole model of AnimateDiff's family. Of a T5's family only the tokenizer and
    the text encoder are loaded, with their lengths, padding and precision; the denoisers are the
    built-in model's, which read the first `ROWS` embeddings of a prompt.

    Raises:
        BackboneInvalid: A component is missing, or is not the family's.
    """
    index = read_index(directory)
    if index["_class_name"] == "AnimateDiffPipeline":
        return load_backbone(directory)
    family = family_module(next(family for family in FAMILIES if family.holds(index)))
    files = ModelFiles(directory, ("tokenizer", "text_encoder", "transformer"))
    options = Options(name=directory.name)
    tokens, text_encoder = family.load_text_encoder(files, options)
    starter = load_backbone(WEIGHTS)
    video, image = (FirstRows(starter.denoiser(is_video)) for is_video in (True, False))
    frames_max = starter.capabilities.frames_max
    return NativeBackbone(
        backbone_parts(
            files, options, tokens, text_encoder, video.size, {"frames_max": frames_max}
        ),
        video=video,
        image=image,
    )


class FirstRows(Denoiser):
    """The built-in denoiser behind a text encoder that gives it more embeddings than it reads."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.network = denoiser.network
        self.autoencoder = denoiser.autoencoder
        self.size = denoiser.size
        self.placement = denoiser.placement
        self.dtype = denoiser.dtype
        self.prediction_type = denoiser.prediction_type
        self.schedule = denoiser.schedule

    def noise_scheduler(self) -> Any:
        return self._denoiser.noise_scheduler()

    def noise(self, seed: int, frames: int | None) -> Tensor:
        return self._denoiser.noise(seed, frames)

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        return self._denoiser.predict(latents, timesteps, embeddings[:, :ROWS])
