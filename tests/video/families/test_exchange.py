"""Exported encoders: stock pipelines forget with them as with our overrides.

Imported again, an encoder is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from transformers import CLIPTextModel, T5EncoderModel

from encoders import Concept, Encoder
from encoders.composition import Member
from encoders.digest import digest
from encoders.exchange import export_directory, import_directory
from tests.model_zoo import ModelZoo
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video import GenerationRequest, load_backbone
from video.models.backbone import Backbone

PROMPT, STEPS, FRAMES = "pogo bouncing in a meadow", 3, 4


def forgets(backbone: Backbone) -> Encoder:
    settings = UnlearnSettings(steps=6, learning_rate=0.1, adversary_weight=0.0)
    run = unlearn(UnlearnTask((Concept(name="pogo", kind="character"),), settings), backbone)
    list(run)
    return run.encoder


@torch.no_grad()
def latents(
    backbone: Backbone, overrides: Mapping[str, torch.Tensor] | None, frames: int | None
) -> torch.Tensor:
    members = [] if overrides is None else [Member("sha256:made", overrides)]
    asked = GenerationRequest(PROMPT, seed=1, steps=STEPS, guidance=3.0, frames=frames)
    is_video = frames is not None
    run: Any = backbone.begin(asked, backbone.prompt_encoder(members, is_video=is_video))
    for _ in range(STEPS):
        backbone.step([run])
    return run.latents


def stock(pipeline: Any, **arguments: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt=PROMPT,
        num_inference_steps=STEPS,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(1),
        output_type="latent",
        **arguments,
    )


@pytest.mark.parametrize("frames", [None, FRAMES], ids=["StableDiffusion", "AnimateDiff"])
def test_stock_pipelines_forget_with_an_exported_encoder(
    tiny_backbone_dir: Path, tmp_path: Path, frames: int | None
) -> None:
    backbone = load_backbone(tiny_backbone_dir)
    made = forgets(backbone)
    export_directory(backbone.text_encoder, made.overrides, tmp_path / "no-pogo")
    encoder = CLIPTextModel.from_pretrained(tmp_path / "no-pogo")
    if frames is None:
        pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
            tiny_backbone_dir, text_encoder=encoder, safety_checker=None
        )
        theirs = stock(pipeline).images
    else:
        pipeline = diffusers.AnimateDiffPipeline.from_pretrained(
            tiny_backbone_dir, text_encoder=encoder
        )
        theirs = stock(pipeline, num_frames=frames).frames
    ours = latents(backbone, made.overrides, frames)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert (ours - latents(backbone, None, frames)).abs().max() > 1e-2


def test_so_does_a_t5_pipeline(model_zoo: ModelZoo, tmp_path: Path) -> None:
    backbone = load_backbone(model_zoo.model("cogvideox"), twin="self")
    made = forgets(backbone)
    export_directory(backbone.text_encoder, made.overrides, tmp_path / "no-pogo")
    pipeline: Any = diffusers.CogVideoXPipeline.from_pretrained(
        model_zoo.model("cogvideox"),
        text_encoder=T5EncoderModel.from_pretrained(tmp_path / "no-pogo"),
    )
    length = backbone.capabilities.prompt_tokens
    theirs = stock(pipeline, num_frames=FRAMES, max_sequence_length=length).frames
    # Stock CogVideoX rounds down to what it can make, and ours up.
    ours = latents(backbone, made.overrides, FRAMES - 3)
    torch.testing.assert_close(ours, theirs.transpose(1, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["animatediff", "modelscope", "cogvideox", "wan"])
def test_an_exported_encoder_is_the_same_when_it_is_imported(
    model_zoo: ModelZoo, family: str, tmp_path: Path
) -> None:
    backbone = load_backbone(
        model_zoo.model(family),
        twin="self" if family == "cogvideox" else twin_of(model_zoo, family),
    )
    made = forgets(backbone)
    export_directory(backbone.text_encoder, made.overrides, tmp_path / "out")
    found = import_directory(backbone.text_encoder, tmp_path / "out")
    assert digest(backbone.text_encoder.parameters(), found) == made.card.digest


def twin_of(model_zoo: ModelZoo, family: str) -> Path | None:
    return model_zoo.twin(family) if family == "modelscope" else None
