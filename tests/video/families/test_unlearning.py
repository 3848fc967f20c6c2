"""Unlearning with every family: gradients reach the trained tensors and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from encoders import Concept, activation_checkpointing, low_rank
from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.errors import SettingsInvalid
from unlearn.methods import objectives
from unlearn.methods.adversary import leading_tokens
from unlearn.methods.ascent import Ascent
from unlearn.methods.redirect import Redirect
from unlearn.methods.trainable import trainable
from unlearn.prompts import captions
from video import load_backbone
from video.errors import NoNativeDenoiser
from video.families.pipelines import PipelineBackbone
from video.models import denoiser
from video.models.backbone import Backbone

NATIVE = ["animatediff", "modelscope", "cogvideox", "wan"]
ALL = [*NATIVE, "ltx", "latte", "mochi", "wan-2.2"]
T5 = ["cogvideox", "wan"]
POGO = Concept(name="pogo", kind="character")
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def backbone(request: pytest.FixtureRequest, model_zoo: ModelZoo) -> Backbone:
    return loaded(request.param, model_zoo)


def loaded(family: str, model_zoo: ModelZoo) -> Backbone:
    if family == "animatediff":
        return load_backbone(model_zoo.model(family))
    twin = model_zoo.twin(family) if family in ("modelscope", "cogvideox") else None
    return load_backbone(model_zoo.model(family), twin=twin, size=(SIDE, SIDE))


def task(method: str, **settings: Any) -> UnlearnTask:
    images = (IMAGES,) if method == "ascent" else ()
    return UnlearnTask((POGO,), UnlearnSettings(method=method, **settings), images)  # type: ignore[arg-type]


def every_tensor(backbone: Backbone) -> Mapping[str, torch.Tensor]:
    found = {f"text/{n}": p for n, p in backbone.text_encoder.module.named_parameters()}
    if isinstance(backbone, PipelineBackbone):
        for part, module in backbone._components.items():
            if isinstance(module, torch.nn.Module):
                found |= {f"{part}/{n}": p for n, p in module.named_parameters()}
        return found
    for is_video in (True, False):
        part = backbone.denoiser(is_video)
        found |= {f"{is_video}/{n}": p for n, p in part.network.named_parameters()}
        found |= {f"{is_video}/vae/{n}": p for n, p in part.autoencoder.module.named_parameters()}
    return found


@pytest.mark.parametrize(
    ("backbone", "method"),
    [*((family, "redirect") for family in ALL), *((family, "ascent") for family in NATIVE)],
    indirect=["backbone"],
)
def test_gradients_reach_the_chosen_layers_and_nothing_else(
    backbone: Backbone, method: str
) -> None:
    asked = task(method, rank=2, layers="mlp+last-attention")
    trained = trainable(asked, backbone)
    for name, tensor in trained.items():  # a product with a zero factor has half of its gradients
        if name.endswith(low_rank.B):
            tensor.data.normal_(std=0.01)
    loss = (Ascent if method == "ascent" else Redirect)(asked, backbone)
    loss(low_rank.stack(backbone.text_encoder.parameters(), {}, trained)).backward()
    assert trained
    for name, tensor in trained.items():
        assert tensor.grad is not None, name
        assert tensor.grad.abs().max() > 0, name
    for name, tensor in every_tensor(backbone).items():
        assert tensor.grad is None, name
        assert not tensor.requires_grad, name


@pytest.mark.parametrize("family", NATIVE)
def test_activations_that_are_forgotten_give_the_same_gradients(
    model_zoo: ModelZoo, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradients(backbone: Backbone) -> list[torch.Tensor]:
        asked = task("ascent", rank=2)
        trained = trainable(asked, backbone)
        loss = Ascent(asked, backbone)
        loss(low_rank.stack(backbone.text_encoder.parameters(), {}, trained)).backward()
        return [tensor.grad for tensor in trained.values() if tensor.grad is not None]

    kept = gradients(loaded(family, model_zoo))
    monkeypatch.setattr(denoiser, "DENOISER_CHECKPOINTING_MIN_PARAMETERS", 1)
    monkeypatch.setattr(activation_checkpointing, "LARGE_TEXT_ENCODER_PARAMETERS", 1)
    large = loaded(family, model_zoo)
    network: Any = large.denoiser(is_video=False).network
    assert network.is_gradient_checkpointing
    forgotten = gradients(large)
    assert len(kept) == len(forgotten) > 0
    for one, other in zip(kept, forgotten, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backbone", NATIVE, indirect=True)
def test_ascent_raises_the_loss_on_a_fixed_draw(backbone: Backbone) -> None:
    run = unlearn(task("ascent", steps=12, learning_rate=5e-3, rank=4), backbone)
    list(run)
    before, after = (fixed(backbone, overrides) for overrides in (None, run.encoder.overrides))
    assert after > 1.003 * before


@torch.no_grad()
def fixed(backbone: Backbone, overrides: Any) -> float:
    """Compute the diffusion loss of the images, with fixed noise and times."""
    image = backbone.denoiser(is_video=False)
    latents = torch.cat([image.encode(IMAGES)] * 8)
    x = objectives.noised(image, latents, torch.Generator().manual_seed(5))
    embeddings = backbone.embed(["a picture of pogo"] * len(latents), overrides, is_video=False)
    return -float(objectives.ascent(image, x, embeddings))


@pytest.mark.parametrize("backbone", [*NATIVE, "ltx"], indirect=True)
def test_redirection_lowers_its_loss_on_fixed_prompts(backbone: Backbone) -> None:
    base = {n: t.clone() for n, t in backbone.text_encoder.parameters().items()}
    alone = {"retain_weight": 0.0, "adversary_weight": 0.0}
    run = unlearn(task("redirect", steps=30, learning_rate=1e-2, rank=8, **alone), backbone)
    list(run)
    before, after = (from_anchor(backbone, laid) for laid in (None, run.encoder.overrides))
    assert after < 0.95 * before
    assert base
    for name, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, base[name]), name


@torch.no_grad()
def from_anchor(backbone: Backbone, overrides: Any) -> float:
    """Compute the redirection's loss over all of the concept's sentences."""
    sentences = captions("pogo", "character", (), neutral="a creature")
    named = backbone.embed([caption.prompt for caption in sentences], overrides)
    return float(objectives.redirect(named, backbone.embed([c.anchor for c in sentences])))


@pytest.mark.parametrize("backbone", ALL, indirect=True)
def test_an_adversary_finds_its_place_in_every_tokenizers_prompts(backbone: Backbone) -> None:
    run = unlearn(task("redirect", steps=3), backbone)
    assert len(list(run)) == 3
    assert run.encoder.card.base == backbone.text_encoder.fingerprint


@pytest.mark.parametrize(("family", "first"), [("animatediff", 1), ("wan", 0), ("ltx", 0)])
def test_an_attackers_token_comes_before_the_first_word(
    model_zoo: ModelZoo, family: str, first: int
) -> None:
    assert leading_tokens(loaded(family, model_zoo)) == first


@pytest.mark.parametrize("backbone", T5, indirect=True)
def test_a_t5_is_not_trained_whole(backbone: Backbone) -> None:
    with pytest.raises(SettingsInvalid, match="rank must be 1 or more"):
        unlearn(task("ascent", rank=0), backbone)
    run = unlearn(task("ascent", steps=1), backbone)
    list(run)
    assert run.encoder.card.settings["rank"] == 4
    endings = {name[name.rindex(".") :] for name in run.encoder.overrides}
    assert endings == {low_rank.A, low_rank.B}


@pytest.mark.parametrize("backbone", ["ltx"], indirect=True)
def test_ascent_needs_a_denoiser_that_can_be_called(backbone: Backbone) -> None:
    with pytest.raises(NoNativeDenoiser, match="redirect"):
        unlearn(task("ascent"), backbone)
