"""Image twins: the one each family gets, and the ones that are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from video import load_backbone
from video.errors import BackboneInvalid
from video.families.pixart import PixArt
from video.families.stable_diffusion import StableDiffusion
from video.models.denoiser import OneFrame


def test_each_family_gets_its_own_twin(model_zoo: ModelZoo) -> None:
    modelscope = load_backbone(model_zoo.model("modelscope"), twin=model_zoo.twin("modelscope"))
    assert isinstance(modelscope.denoiser(is_video=False), StableDiffusion)
    assert modelscope.denoiser(is_video=False).prediction_type == "v_prediction"
    assert modelscope.denoiser(is_video=True).prediction_type == "epsilon"
    cogvideox = load_backbone(model_zoo.model("cogvideox"), twin=model_zoo.twin("cogvideox"))
    assert isinstance(cogvideox.denoiser(is_video=False), PixArt)
    wan = load_backbone(model_zoo.model("wan"), size=(SIDE, SIDE))
    assert isinstance(wan.denoiser(is_video=False), OneFrame)
    assert wan.denoiser(is_video=False).prediction_type == "flow_prediction"
    itself = load_backbone(model_zoo.model("modelscope"), twin="self")
    assert isinstance(itself.denoiser(is_video=False), OneFrame)
    assert itself.denoiser(is_video=False).decode(
        itself.denoiser(is_video=False).noise(1, None)
    ).shape == (1, SIDE, SIDE, 3)


def test_a_twin_that_cannot_be_had_names_the_ways_out(model_zoo: ModelZoo, hub: Path) -> None:
    with pytest.raises(BackboneInvalid, match=r"sd2-community.*PALIMPSEST_TWIN.*'self'"):
        load_backbone(model_zoo.model("modelscope"))


def test_a_twin_with_another_text_encoder_is_refused_with_the_difference(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    twin = Path(shutil.copytree(model_zoo.twin("modelscope"), tmp_path / "twin"))
    file = twin / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "fc1.weight" in name)
    tensors[name] *= 1.125  # exact in float16
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(BackboneInvalid, match=r"differ by 0\.125.*TWIN_DIFFERENCE=0\.126"):
        load_backbone(model_zoo.model("modelscope"), twin=twin)
    load_backbone(model_zoo.model("modelscope"), twin=twin, twin_difference=0.126)
    with pytest.raises(BackboneInvalid, match="another text encoder"):
        load_backbone(model_zoo.model("modelscope"), twin=model_zoo.twin("cogvideox"))
    with pytest.raises(BackboneInvalid, match="twins are StableDiffusionPipeline"):
        load_backbone(model_zoo.model("modelscope"), twin=model_zoo.model("wan"))


def test_a_twin_in_another_precision_is_the_same_text_encoder(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    twin = Path(shutil.copytree(model_zoo.twin("modelscope"), tmp_path / "twin"))
    file = twin / "text_encoder" / "model.safetensors"
    save_file({n: t.half() for n, t in load_file(file).items()}, file, {"format": "pt"})
    load_backbone(model_zoo.model("modelscope"), twin=twin)


def test_roundings_on_the_way_to_bfloat16_are_no_difference(
    model_zoo: ModelZoo, tmp_path: Path
) -> None:
    model, twin = (
        Path(shutil.copytree(source, tmp_path / name))
        for source, name in (
            (model_zoo.model("cogvideox"), "model"),
            (model_zoo.twin("cogvideox"), "twin"),
        )
    )
    stored = {model: torch.bfloat16, twin: torch.float16}  # as CogVideoX-5b's and PixArt's are
    for path, dtype in stored.items():
        file = path / "text_encoder" / "model.safetensors"
        tensors = load_file(file)
        tensors = {n: t * 1.001 for n, t in tensors.items()}
        save_file({n: t.to(dtype) for n, t in tensors.items()}, file, {"format": "pt"})
    one, other = (
        load_file(path / "text_encoder" / "model.safetensors")["shared.weight"].to(torch.bfloat16)
        for path in (model, twin)
    )
    assert not torch.equal(one, other), "some numbers are rounded twice"
    load_backbone(model, twin=twin, dtype=torch.bfloat16)
    file = twin / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    tensors["shared.weight"][5] *= 1.02
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(BackboneInvalid, match="another text encoder"):
        load_backbone(model, twin=twin, dtype=torch.bfloat16)


def test_cogvideox_1_5_cannot_be_its_own_twin(model_zoo: ModelZoo) -> None:
    with pytest.raises(BackboneInvalid, match="single frame"):
        load_backbone(model_zoo.model("cogvideox-1.5"), twin="self")


def test_a_stock_pipeline_has_no_twin(model_zoo: ModelZoo) -> None:
    with pytest.raises(BackboneInvalid, match="PALIMPSEST_TWIN"):
        load_backbone(model_zoo.model("ltx"), twin="self")
