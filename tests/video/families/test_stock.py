"""Native families against stock diffusers' pipelines: the same latents, frames and embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from video import load_backbone
from video.generation_request import GenerationRequest
from video.models.native import DenoisingState, NativeBackbone, denoise_step

PROMPT, OTHER = "pogo bouncing in a meadow", "a cactus by the sea"
STEPS, FRAMES = 4, 5
FAMILIES = ["animatediff", "modelscope", "cogvideox", "cogvideox-5b", "cogvideox-1.5", "wan"]
TWINS = ["modelscope", "cogvideox"]


def load(model_zoo: ModelZoo, family: str, tiny: Path) -> NativeBackbone:
    if family == "animatediff":
        found = load_backbone(tiny)
    else:
        size = (SIDE, SIDE) if family == "wan" else None
        twin = model_zoo.twin(family) if family != "wan" else None
        found = load_backbone(model_zoo.model(family), twin=twin, size=size)
    assert isinstance(found, NativeBackbone)
    return found


def begun(
    backbone: NativeBackbone, prompt: str, guidance: float, frames: int | None, **other: Any
) -> DenoisingState:
    request = GenerationRequest(
        prompt, guidance=guidance, frames=frames, **{"seed": 7, "steps": STEPS, **other}
    )
    is_video = frames is not None
    return backbone.begin(request, backbone.prompt_encoder(is_video=is_video))


@torch.no_grad()
def embed(backbone: NativeBackbone, text: str, is_video: bool) -> Tensor:
    return backbone.embed([text], is_video=is_video)


def ours(backbone: NativeBackbone, guidance: float, frames: int | None, among: bool) -> Tensor:
    """Compute our latents, alone or with other prompts, numbers of steps and guidance."""
    run = begun(backbone, PROMPT, guidance, frames)
    runs = [run]
    if among:
        runs.insert(0, begun(backbone, OTHER, 1.0, frames, seed=1, steps=9))
        runs.append(begun(backbone, OTHER, 5.0, frames, seed=2, steps=6))
        denoise_step([runs[0]])  # at another step, too
    for _ in range(STEPS):
        denoise_step(runs)
    assert run.steps_done == run.steps == STEPS
    return run.latents


def stock(path: Path, arguments: dict[str, Any], output_type: str = "latent") -> Any:
    """Return the stock pipeline's output."""
    pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(path)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(7),
        output_type=output_type,
        **arguments,
    )


@pytest.mark.parametrize("among", [False, True], ids=["alone", "among others"])
@pytest.mark.parametrize("guidance", [1.0, 3.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_clips_equal_the_stock_pipelines(
    model_zoo: ModelZoo, family: str, guidance: float, among: bool, tiny_backbone_dir: Path
) -> None:
    backbone = load(model_zoo, family, tiny_backbone_dir)
    path = tiny_backbone_dir if family == "animatediff" else model_zoo.model(family)
    arguments: dict[str, Any] = {
        "prompt": PROMPT,
        "guidance_scale": guidance,
        "num_frames": FRAMES,
    }
    if family == "wan":
        arguments |= {"width": SIDE, "height": SIDE, "negative_prompt": ""}
    if family.startswith("cog"):
        arguments["max_sequence_length"] = backbone.capabilities.prompt_tokens
    theirs = stock(path, arguments).frames
    if family.startswith("cog"):
        theirs = theirs.transpose(1, 2)  # frames before channels
    found = ours(backbone, guidance, FRAMES, among)
    assert found.shape == theirs.shape
    assert found.std() > 0.1
    torch.testing.assert_close(found, theirs.float(), atol=1e-4, rtol=0)
    without = ours(backbone, guidance, FRAMES, among=False)
    other = begun(backbone, OTHER, guidance, FRAMES)
    for _ in range(STEPS):
        denoise_step([other])
    assert (without - other.latents).abs().max() > 1e-2, "the prompt has to matter"


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_equal_the_stock_pipelines(
    model_zoo: ModelZoo, family: str, tiny_backbone_dir: Path
) -> None:
    """With nine frames: CogVideoX 1.5 makes more latents for them than it decodes."""
    backbone = load(model_zoo, family, tiny_backbone_dir)
    path = tiny_backbone_dir if family == "animatediff" else model_zoo.model(family)
    arguments: dict[str, Any] = {"prompt": PROMPT, "guidance_scale": 1.0, "num_frames": 9}
    if family == "wan":
        arguments |= {"width": SIDE, "height": SIDE}
    if family.startswith("cog"):
        arguments["max_sequence_length"] = backbone.capabilities.prompt_tokens
    theirs = stock(path, arguments, output_type="np").frames[0]
    run = begun(backbone, PROMPT, 1.0, 9)
    for _ in range(STEPS):
        denoise_step([run])
    frames = run.decode()
    side = backbone.capabilities.native_width
    assert frames.shape == theirs.shape == (9, side, side, 3)
    assert np.abs(frames / 255 - theirs).max() < 1.5 / 255
    assert frames.std() > 5


@pytest.mark.parametrize("guidance", [1.0, 3.5])
@pytest.mark.parametrize("family", TWINS)
def test_stills_equal_the_twins_stock_pipelines(
    model_zoo: ModelZoo, family: str, guidance: float, tiny_backbone_dir: Path
) -> None:
    backbone = load(model_zoo, family, tiny_backbone_dir)
    wanted, nothing = (embed(backbone, text, is_video=False) for text in (PROMPT, ""))
    arguments: dict[str, Any] = {"guidance_scale": guidance, "prompt_embeds": wanted}
    if family == "cogvideox":
        arguments |= {
            "prompt_attention_mask": (wanted != 0).any(2),
            "negative_prompt_embeds": nothing,
            "negative_prompt_attention_mask": (nothing != 0).any(2),
            "negative_prompt": None,
            "use_resolution_binning": False,
        }
        assert 0 < arguments["prompt_attention_mask"].sum() < wanted.shape[1]
    else:
        arguments |= {"negative_prompt_embeds": nothing}
    theirs = stock(model_zoo.twin(family), arguments).images
    found = ours(backbone, guidance, None, among=False)
    assert found.shape == theirs.shape
    assert found.std() > 0.1
    torch.testing.assert_close(found, theirs, atol=1e-4, rtol=0)


def test_wan_encodes_prompts_as_its_stock_pipeline(
    model_zoo: ModelZoo, tiny_backbone_dir: Path
) -> None:
    backbone = load(model_zoo, "wan", tiny_backbone_dir)
    pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(model_zoo.model("wan"))
    for text in (PROMPT, "", "  pogo &amp; blip,\n at night "):
        theirs, _ = pipeline.encode_prompt(text, None, False, max_sequence_length=512)
        found = embed(backbone, text, is_video=True)
        torch.testing.assert_close(found, theirs)
        assert (found[0, -1] == 0).all()
