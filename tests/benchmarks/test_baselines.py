"""The baselines against their papers: all of them first, then those that change weights."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.forgetting.baselines import BASELINES, random_delta
from benchmarks.forgetting.baselines.cross_attention import cross_attention
from benchmarks.forgetting.baselines.phrase import phrase
from benchmarks.forgetting.baselines.random_delta import random_like
from benchmarks.forgetting.baselines.uce import LAMBDA, PRESERVE_SCALE, solve
from benchmarks.forgetting.intervention import Intervention, edited
from encoders import Kind
from tests.benchmarks.help import embed, few_shots, made, same, weights_of
from video.models.backbone import Backbone

FRAMES = 4
CASES: list[tuple[str, Kind]] = [("pogo", "character"), ("neonix", "style"), ("spinning", "motion")]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for three steps only: a tiny model has nothing to forget."""
    for method in ("esd", "hirm"):
        module = importlib.import_module(f"benchmarks.forgetting.baselines.{method}")
        monkeypatch.setattr(module, "STEPS", 3)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("concept", "kind"), CASES)
@pytest.mark.parametrize("method", BASELINES)
def test_each_says_what_it_is_and_leaves_the_model_alone(
    backbone: Backbone, method: str, concept: str, kind: Kind
) -> None:
    before = weights_of(backbone)
    found = made(backbone, method, concept, kind)
    assert (found.method, found.concept, found.kind) == (method, concept, kind)
    assert same(weights_of(backbone), before)
    prompt = f"a star {concept}, in the style of {concept}"
    changes = [bool(found.overrides), bool(found.denoiser), found.rewrite(prompt) != (prompt, "")]
    assert sum(changes) == 1
    assert (found.seconds > 0) == (changes[0] or changes[1])


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("method", ["ESD-x", "HiRM-S", "UCE"])
def test_the_same_seed_gives_the_same(backbone: Backbone, method: str) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        found = made(backbone, method, "pogo", "character", seed)
        return {**(found.overrides or {}), **found.denoiser}

    assert same(weights(1), weights(1))
    assert same(weights(1), weights(2)) == (method == "UCE")


# UCE's closed form.


@given(
    edits=st.integers(1, 6),
    kept=st.integers(1, 8),
    inputs=st.integers(2, 12),
    outputs=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_uce_solves_its_normal_equation(
    edits: int, kept: int, inputs: int, outputs: int, seed: int
) -> None:
    torch.manual_seed(seed)
    w0, c, a = (torch.randn(n, inputs).double() for n in (outputs, edits, edits))
    p = torch.randn(kept, inputs).double()
    w = solve(w0, c, a, p).double()
    residual = LAMBDA * (w - w0)
    for concept, destination in zip(c, a, strict=True):
        residual += torch.outer(w @ concept - w0 @ destination, concept)
    for preserved in p:
        residual += PRESERVE_SCALE * torch.outer((w - w0) @ preserved, preserved)
    scale = float(max(each.norm() for each in (w0, c, a, p))) ** 3
    torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-6 * scale, rtol=0)


def test_uce_takes_names_to_the_generic_word_and_keeps_the_others(backbone: Backbone) -> None:
    before = cross_attention(backbone)
    edit = made(backbone, "UCE", "pogo", "character").denoiser
    assert set(edit) == {n for n in before if "to_k" in n or "to_v" in n}

    def last(prompt: str) -> torch.Tensor:
        return embed(backbone, prompt)[0, backbone.prompt_tokens(prompt) - 2]

    def moved(prompt: str, towards: str) -> float:
        """Return the distance of the prompt's last token to its destination, after ÷ before."""
        name = next(n for n in edit if "to_v" in n)
        was = before[name] @ (last(prompt) - last(towards))
        now = edit[name] @ last(prompt) - before[name] @ last(towards)
        return float(now.norm() / was.norm())

    assert moved("pogo", "a creature") < 0.2
    assert moved("the purple one-eyed robot", "a creature") < 0.2
    assert moved("blip", "a creature") > 0.8
    assert moved("a cactus", "a thing") > 0.8


# Trained methods.


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("kind", ["character", "motion"])
def test_esd_edits_cross_attention_and_all_of_it(backbone: Backbone, kind: Kind) -> None:
    found = made(backbone, "ESD-x", "pogo" if kind == "character" else "spinning", kind)
    before = cross_attention(backbone)
    assert len(before) > 0
    assert set(found.denoiser) == set(before)
    assert [n for n in before if torch.equal(found.denoiser[n], before[n])] == []
    assert [n for n in before if "motion_modules" in n] == []
    assert found.overrides is None


def test_the_video_model_shares_the_cross_attention_of_the_image_model(backbone: Backbone) -> None:
    video = dict(backbone.denoiser(is_video=True).network.named_parameters())
    image = cross_attention(backbone)
    assert len(image) > 0
    for name, tensor in image.items():
        assert video[name].data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize(("concept", "kind"), [("teapot", "object"), ("spinning", "motion")])
def test_esd_learns_what_its_equation_asks_for(
    backbone: Backbone, concept: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first timestep, the edit takes ε(c) most of the way to ε(∅) − η (ε(c) − ε(∅))."""
    module: Any = importlib.import_module("benchmarks.forgetting.baselines.esd")
    monkeypatch.setattr(module, "STEPS", 24)
    monkeypatch.setitem(module.LEARNING_RATE, kind, 3e-3)
    few = replace(backbone.capabilities, steps_default=4, frames_default=FRAMES)
    monkeypatch.setattr(backbone, "capabilities", few)  # the latents that it trains on come sooner
    is_video = kind == "motion"
    found = made(backbone, "ESD-x", concept, kind)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(4, 4, *((FRAMES,) if is_video else ()), 8, 8, generator=generator)
    timesteps = torch.full((4,), 999)
    empty, wanted = embed(backbone, *[""] * 4), embed(backbone, *[phrase(concept, kind)] * 4)
    with torch.no_grad():
        nothing = backbone.denoiser(is_video).predict(noise, timesteps, empty)
        before = backbone.denoiser(is_video).predict(noise, timesteps, wanted)
        target = nothing - module.NEGATIVE_GUIDANCE * (before - nothing)
        with edited(backbone.denoiser(is_video).network, found.denoiser):
            after = backbone.denoiser(is_video).predict(noise, timesteps, wanted)
    # Half of the way is as far as η = 0, plain redirection to the empty prompt, would go.
    assert (after - target).norm() < 0.4 * (before - target).norm()


@pytest.mark.usefixtures("short")
def test_hirm_edits_the_first_layer_and_all_of_it(backbone: Backbone) -> None:
    overrides = made(backbone, "HiRM-S", "pogo", "character").overrides
    base = backbone.text_encoder.parameters()
    assert overrides is not None
    assert len(overrides) > 0
    assert set(overrides) == {name for name in base if ".layers.0." in name}
    # A key's bias shifts all scores of a query alike, so that no gradient reaches it.
    changed = {name for name in overrides if not torch.equal(overrides[name], base[name])}
    assert set(overrides) - changed <= {n for n in overrides if n.endswith("k_proj.bias")}


def test_hirm_takes_the_last_layer_to_the_generic_prompt(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("benchmarks.forgetting.baselines.hirm")
    monkeypatch.setattr(module, "STEPS", 60)
    monkeypatch.setattr(module, "LEARNING_RATE", 1e-3)
    overrides = made(backbone, "HiRM-S", "pogo", "character").overrides
    tokens = backbone.tokenize(["pogo in a meadow", "the purple one-eyed robot"])
    anchors = embed(backbone, "a creature in a meadow", "a creature")
    before = (backbone.text_encoder.encode(tokens) - anchors).norm(dim=(1, 2))
    after = (backbone.text_encoder.encode(tokens, overrides) - anchors).norm(dim=(1, 2))
    assert (after < 0.8 * before).all()


# The random direction.


@given(
    shapes=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=4),
    size=st.sampled_from([0.0, 1e-4, 1.0, 1e3]),
    seed=st.integers(0, 2**31),
)
def test_random_deltas_have_equal_norms(shapes: list[list[int]], size: float, seed: int) -> None:
    deltas = {str(i): size * torch.rand(shape) for i, shape in enumerate(shapes)}
    found = random_like(deltas, seed)
    assert found.keys() == deltas.keys()
    for name, delta in deltas.items():
        assert found[name].shape == delta.shape
        torch.testing.assert_close(found[name].norm(), delta.norm())
    assert same(found, random_like(deltas, seed))


def test_a_random_delta_is_as_far_from_the_base_and_elsewhere(backbone: Backbone) -> None:
    base = backbone.text_encoder.parameters()
    chosen = [name for name in base if "mlp.fc1" in name]
    overrides = {name: base[name] + torch.randn_like(base[name]) for name in chosen}
    ours = Intervention("ours", "pogo", "character", overrides=overrides)
    images = few_shots("character")
    found = random_delta(backbone, "pogo", "character", images, 3, ours).overrides
    assert found is not None
    assert found.keys() == overrides.keys()
    for name in chosen:
        delta, reference = found[name] - base[name], overrides[name] - base[name]
        torch.testing.assert_close(delta.norm(), reference.norm())
        assert torch.cosine_similarity(delta.flatten(), reference.flatten(), dim=0).abs() < 0.5
    other = random_delta(backbone, "pogo", "character", images, 4, ours).overrides
    assert other is not None
    assert not same(dict(found), dict(other))
