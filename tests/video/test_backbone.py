"""AnimateDiff family, and models that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from tests import tiny
from video.errors import BackboneInvalid
from video.generation_request import GenerationRequest
from video.load import load_backbone
from video.models.native import NativeBackbone
from video.models.precision import best_dtype

PROMPT = "pogo bouncing in a meadow"
STEPS = 4


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> NativeBackbone:
    loaded = load_backbone(tiny_backbone_dir)
    assert isinstance(loaded, NativeBackbone)
    return loaded


@pytest.mark.parametrize("guidance", [1.0, 3.5])
@pytest.mark.parametrize("directory", ["tiny_backbone_dir", "tiny_epsilon_dir"])
@torch.no_grad()
def test_stills_equal_stable_diffusions_own(
    directory: str, guidance: float, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(directory)
    backbone = load_backbone(path)
    asked = GenerationRequest(PROMPT, seed=7, steps=STEPS, guidance=guidance, frames=None)
    run = backbone.begin(asked, backbone.prompt_encoder(is_video=False))
    for _ in range(STEPS):
        backbone.step([run])
    pipeline = StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt=PROMPT,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
    ).images
    assert run.latents.std() > 0.1  # type: ignore[attr-defined]
    torch.testing.assert_close(run.latents, theirs, atol=1e-4, rtol=0)  # type: ignore[attr-defined]


def test_the_video_model_holds_the_twins_own_tensors(backbone: NativeBackbone) -> None:
    image = {p.data_ptr() for p in backbone.denoiser(is_video=False).network.parameters()}
    video = {p.data_ptr() for p in backbone.denoiser(is_video=True).network.parameters()}
    assert image < video
    network = backbone.denoiser(is_video=True).network
    assert {tensor.is_meta for tensor in network.state_dict().values()} == {False}
    assert {parameter.requires_grad for parameter in network.parameters()} == {False}


def test_motion_weights_are_those_of_the_file(
    backbone: NativeBackbone, tiny_backbone_dir: Path
) -> None:
    from safetensors.torch import load_file

    stored = load_file(tiny_backbone_dir / "motion_adapter" / "diffusion_pytorch_model.safetensors")
    held = dict(backbone.denoiser(is_video=True).network.named_parameters())
    assert stored
    for name, tensor in stored.items():
        if name in held:
            assert torch.equal(held[name], tensor.float()), name
    assert sum(name in held for name in stored) == sum(".motion_modules." in n for n in held)


def test_samples_of_a_batch_stand_at_their_own_timesteps(backbone: NativeBackbone) -> None:
    denoiser = backbone.denoiser(is_video=True)
    latents = torch.cat([denoiser.noise(seed, 3) for seed in (1, 2)])
    embeddings = backbone.embed([PROMPT, "otto by the sea"])
    timesteps = torch.tensor([900, 40])
    together = denoiser.predict(latents, timesteps, embeddings)
    for i in range(2):
        alone = denoiser.predict(latents[i : i + 1], timesteps[i : i + 1], embeddings[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


def test_the_prompt_matters_in_stills_and_clips(backbone: NativeBackbone) -> None:
    for frames in (None, 3):
        denoiser = backbone.denoiser(frames is not None)
        latents, timestep = denoiser.noise(0, frames), torch.tensor([500])
        a, b = (
            denoiser.predict(latents, timestep, backbone.embed([p])) for p in (PROMPT, "a cactus")
        )
        assert (a - b).abs().mean() > 1e-3


def test_pixels_and_latents(backbone: NativeBackbone) -> None:
    video, image = backbone.denoiser(is_video=True), backbone.denoiser(is_video=False)
    frames = video.decode(video.noise(0, 5))
    assert frames.shape == (5, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert image.decode(image.noise(0, None)).shape == (1, 64, 64, 3)
    latents = image.encode(frames)
    assert latents.shape == (5, 4, 8, 8)
    assert torch.equal(latents, image.encode(frames))
    clip = video.encode(frames[None])
    assert clip.shape == (1, 4, 5, 8, 8)
    assert torch.equal(clip[0].transpose(0, 1), latents)
    assert image.encode(np.zeros((1, 100, 80, 3), np.uint8)).shape == (1, 4, 8, 8)
    with pytest.raises(ValueError, match="uint8"):
        image.encode(frames.astype(np.float32))  # type: ignore[arg-type]


def test_limits_and_prompts_come_from_the_directory(backbone: NativeBackbone) -> None:
    assert (backbone.capabilities.native_width, backbone.capabilities.native_height) == (64, 64)
    assert backbone.capabilities.frames_max == 16
    assert backbone.capabilities.prompt_tokens == tiny.MAX_TOKENS
    assert backbone.name == "tiny"
    assert backbone.prompts.synonyms("pogo", "character") == ("purple one-eyed robot",)
    assert backbone.prompts.synonyms("pogo", "object") == ()
    for is_video in (False, True):
        assert backbone.denoiser(is_video).prediction_type == "v_prediction"
        assert backbone.denoiser(is_video).schedule.signal[-1] == 0


def test_the_denoiser_computes_in_bfloat16_and_returns_float32(tiny_backbone_dir: Path) -> None:
    backbone = load_backbone(tiny_backbone_dir, dtype=torch.bfloat16)
    embeddings = backbone.embed([PROMPT])
    assert embeddings.dtype == torch.float32
    denoiser = backbone.denoiser(is_video=True)
    latents = denoiser.noise(0, 2)
    assert denoiser.predict(latents, torch.tensor([10]), embeddings).dtype == torch.float32
    full = load_backbone(tiny_backbone_dir).denoiser(is_video=True)
    np.testing.assert_array_equal(denoiser.decode(latents), full.decode(latents))


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
    with pytest.raises(BackboneInvalid, match="is no model"):
        load_backbone(tmp_path / "nowhere")
