"""The AnimateDiff family against the stock pipelines, and what its loader refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline, StableDiffusionPipeline

from tests import tiny
from video.animatediff import AnimateDiff
from video.backbone import BackboneInvalid, load_backbone
from video.precision import best_dtype

PROMPT = "pogo bouncing in a meadow"
STEPS = 4


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> AnimateDiff:
    loaded = load_backbone(tiny_backbone_dir)
    assert isinstance(loaded, AnimateDiff)
    return loaded


@torch.no_grad()
def our_latents(backbone: AnimateDiff, guidance: float, frames: int | None) -> torch.Tensor:
    scheduler = backbone.scheduler()
    scheduler.set_timesteps(STEPS)
    prompts = ["", PROMPT] if guidance > 1 else [PROMPT]
    embeddings = torch.cat(
        [backbone.text_encoder.encode(backbone.tokenize([text])) for text in prompts]
    )
    latents = backbone.initial_latents(7, frames) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        inputs = latents.repeat(len(prompts), *[1] * (latents.ndim - 1))
        prediction = backbone.denoise(inputs, timestep.expand(len(prompts)), embeddings)
        if guidance > 1:
            without, with_prompt = prediction.chunk(2)
            prediction = without + guidance * (with_prompt - without)
        latents = scheduler.step(prediction, timestep, latents).prev_sample
    return latents


def stock_latents(directory: Path, guidance: float, frames: int | None) -> torch.Tensor:
    generator = torch.Generator("cpu").manual_seed(7)
    arguments = {
        "prompt": PROMPT,
        "num_inference_steps": STEPS,
        "guidance_scale": guidance,
        "generator": generator,
        "output_type": "latent",
    }
    if frames is None:
        pipeline = StableDiffusionPipeline.from_pretrained(directory, safety_checker=None)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline(**arguments).images
    pipeline = AnimateDiffPipeline.from_pretrained(directory)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(**arguments, num_frames=frames).frames


@pytest.mark.parametrize("guidance", [1.0, 3.5])
@pytest.mark.parametrize("frames", [None, 3], ids=["still", "clip"])
@pytest.mark.parametrize("directory", ["tiny_backbone_dir", "tiny_epsilon_dir"])
def test_latents_equal_the_stock_pipelines(
    directory: str, frames: int | None, guidance: float, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(directory)
    ours = our_latents(load_backbone(path), guidance, frames)  # type: ignore[arg-type]
    theirs = stock_latents(path, guidance, frames)
    assert ours.shape == theirs.shape
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_the_video_model_holds_the_twins_own_tensors(backbone: AnimateDiff) -> None:
    image = {p.data_ptr() for p in backbone._image_unet.parameters()}
    video = {p.data_ptr() for p in backbone._video_unet.parameters()}
    assert image < video
    assert not any(tensor.is_meta for tensor in backbone._video_unet.state_dict().values())
    assert not any(p.requires_grad for p in backbone._video_unet.parameters())


def test_motion_weights_are_those_of_the_file(
    backbone: AnimateDiff, tiny_backbone_dir: Path
) -> None:
    from safetensors.torch import load_file

    stored = load_file(tiny_backbone_dir / "motion_adapter" / "diffusion_pytorch_model.safetensors")
    held = dict(backbone._video_unet.named_parameters())
    assert stored
    for name, tensor in stored.items():
        if name in held:
            assert torch.equal(held[name], tensor.float()), name
    assert sum(name in held for name in stored) == sum(".motion_modules." in n for n in held)


def test_samples_of_a_batch_stand_at_their_own_timesteps(backbone: AnimateDiff) -> None:
    latents = torch.cat([backbone.initial_latents(seed, 3) for seed in (1, 2)])
    embeddings = backbone.text_encoder.encode(backbone.tokenize([PROMPT, "otto by the sea"]))
    timesteps = torch.tensor([900, 40])
    together = backbone.denoise(latents, timesteps, embeddings)
    for i in range(2):
        alone = backbone.denoise(latents[i : i + 1], timesteps[i : i + 1], embeddings[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


def test_the_prompt_matters_in_stills_and_clips(backbone: AnimateDiff) -> None:
    a, b = (backbone.text_encoder.encode(backbone.tokenize([p])) for p in (PROMPT, "a cactus"))
    for frames in (None, 3):
        latents = backbone.initial_latents(0, frames)
        timestep = torch.tensor([500])
        difference = backbone.denoise(latents, timestep, a) - backbone.denoise(latents, timestep, b)
        assert difference.abs().mean() > 1e-3


def test_pixels_and_latents(backbone: AnimateDiff) -> None:
    frames = backbone.decode(backbone.initial_latents(0, 5))
    assert frames.shape == (5, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert backbone.decode(backbone.initial_latents(0, None)).shape == (1, 64, 64, 3)
    latents = backbone.encode_images(frames)
    assert latents.shape == (5, 4, 8, 8)
    assert torch.equal(latents, backbone.encode_images(frames))
    assert backbone.encode_images(np.zeros((1, 100, 80, 3), np.uint8)).shape == (1, 4, 8, 8)


def test_limits_and_prompts_come_from_the_directory(backbone: AnimateDiff) -> None:
    assert (backbone.limits.native_width, backbone.limits.native_height) == (64, 64)
    assert backbone.limits.frames_max == 16
    assert backbone.limits.prompt_tokens == tiny.MAX_TOKENS
    assert backbone.name == "tiny"
    assert backbone.prompts.synonyms("pogo", "character") == ("purple one-eyed robot",)
    assert backbone.prompts.synonyms("pogo", "object") == ()
    assert backbone.prediction_type == "v_prediction"
    assert backbone.alphas_cumprod[-1] == 0


def test_the_denoiser_computes_in_bfloat16_and_returns_float32(tiny_backbone_dir: Path) -> None:
    backbone = load_backbone(tiny_backbone_dir, dtype=torch.bfloat16)
    embeddings = backbone.text_encoder.encode(backbone.tokenize([PROMPT]))
    assert embeddings.dtype == torch.float32
    latents = backbone.initial_latents(0, 2)
    assert backbone.denoise(latents, torch.tensor([10]), embeddings).dtype == torch.float32
    assert backbone.decode(latents).shape == (2, 64, 64, 3)
    full = load_backbone(tiny_backbone_dir)
    np.testing.assert_array_equal(backbone.decode(latents), full.decode(latents))


def test_auto_is_bfloat16_only_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for able, expected in (
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert best_dtype("cpu") is expected
    assert best_dtype("meta") is torch.float32


@pytest.fixture
def copy(tiny_backbone_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_backbone_dir, tmp_path / "copy"))


def edit_index(directory: Path, **entries: object) -> None:
    index = json.loads((directory / "model_index.json").read_text())
    (directory / "model_index.json").write_text(json.dumps({**index, **entries}))


def test_refuses_a_directory_without_a_motion_adapter(copy: Path) -> None:
    edit_index(copy, motion_adapter=[None, None])
    with pytest.raises(BackboneInvalid, match="motion_adapter"):
        load_backbone(copy)


def test_refuses_another_family_and_foreign_classes(copy: Path) -> None:
    edit_index(copy, _class_name="ShapEPipeline")
    with pytest.raises(BackboneInvalid, match="ShapEPipeline"):
        load_backbone(copy)
    edit_index(copy, _class_name="AnimateDiffPipeline", scheduler=["os", "system"])
    with pytest.raises(BackboneInvalid, match="scheduler"):
        load_backbone(copy)


def test_refuses_pickled_weights(copy: Path) -> None:
    from safetensors.torch import load_file

    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), copy / "unet" / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(BackboneInvalid, match="safetensors"):
        load_backbone(copy)


@pytest.mark.parametrize("component", ["unet", "motion_adapter", "text_encoder", "vae"])
def test_refuses_weights_with_a_gap(copy: Path, component: str) -> None:
    from safetensors.torch import load_file, save_file

    (file,) = (copy / component).glob("*.safetensors")
    tensors = load_file(file)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(BackboneInvalid, match="lacks weights"):
        load_backbone(copy)


def test_refuses_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(BackboneInvalid, match=r"model_index\.json"):
        load_backbone(tmp_path / "nowhere")
