"""The comparison methods against their papers; the sampler against the engine."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.forgetting.baselines import BASELINES, random_delta
from benchmarks.forgetting.baselines.cross_attention import cross_attention
from benchmarks.forgetting.baselines.phrase import phrase
from benchmarks.forgetting.baselines.random_delta import random_like
from benchmarks.forgetting.baselines.uce import LAMBDA, PRESERVE_SCALE, solve
from benchmarks.forgetting.baselines.word_deleted import without_names
from benchmarks.forgetting.intervention import Intervention, edited
from benchmarks.forgetting.sampling import Shot, sample
from benchmarks.workshop import WEIGHTS, workshop
from encoders import Kind
from starter.captions import (
    FORMS,
    HELD_OUT_FORMS,
    MOTION_WORDS,
    PLACE_WORDS,
    STYLE_WORDS,
    SUBJECT_WORDS,
    compose,
)
from starter.scene import KIND_OF
from unlearn.fewshot import all_names, mentions
from video import Backbone, load_backbone
from video.backbone import Frames, read_prompts
from video.requests import GenerationRequest

BOOK = read_prompts(WEIGHTS)
CASES: list[tuple[str, Kind]] = [("pogo", "character"), ("neonix", "style"), ("spinning", "motion")]


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps of whatever is trained: a tiny model has nothing to forget."""
    for method in ("esd", "hirm"):
        home = importlib.import_module(f"benchmarks.forgetting.baselines.{method}")
        monkeypatch.setattr(home, "STEPS", 3)


def few_shots(kind: Kind) -> Frames:
    shape = (2, 3, 64, 64, 3) if kind == "motion" else (2, 64, 64, 3)
    return np.zeros(shape, np.uint8)


def made(backbone: Backbone, method: str, concept: str, kind: Kind, seed: int = 0) -> Intervention:
    return BASELINES[method](backbone, concept, kind, few_shots(kind), seed)


def embed(backbone: Backbone, *prompts: str) -> torch.Tensor:
    return backbone.text_encoder.encode(backbone.tokenize(list(prompts)))


def weights_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Copies of all that a method could have left changed."""
    found = {f"text.{n}": t.clone() for n, t in backbone.text_encoder.parameters().items()}
    for moving in (False, True):
        for name, tensor in backbone.denoiser(moving).named_parameters():
            found[f"{moving}.{name}"] = tensor.detach().clone()
    return found


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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


# Words.


def test_the_negative_prompt_is_the_name_and_the_prompt_stays(backbone: Backbone) -> None:
    for concept, kind, negative in [
        ("balloon", "object", "balloon"),
        ("dottie", "style", "in the style of dottie"),
        ("as coloured dots", "style", "as coloured dots"),
        ("spinning", "motion", "spinning"),
    ]:
        found = made(backbone, "negative prompt", concept, kind)
        assert found.rewrite("a balloon spinning") == ("a balloon spinning", negative)


@pytest.mark.parametrize(
    ("concept", "prompt", "left"),
    [
        ("balloon", "One balloon on a string at night", "a thing at night"),
        ("balloon", "two balloons and a BALLOON", "two balloons and a thing"),
        ("pogo", "the purple  one-eyed robot, at night", "a creature, at night"),
        ("pogo", "pogo the robot meets pogo", "a creature meets a creature"),
        ("dottie", "a star, in the style of dottie, at night", "a star, at night"),
        ("dottie", "a drawing by dottie of a star", "a drawing of a star"),
        ("dottie", "dottie style, a star", "a star"),
        ("dottie", "a star in Dottie's style", "a star"),
        ("dottie", "a star like a dottie", "a star"),
        ("dottie", "a star as coloured dots at night", "a star at night"),
        ("dottie", "dottie", ""),
        ("spinning", "a spinning star spinning around", "a star"),
        ("spinning", "a star bouncing while spinning.", "a star bouncing."),
    ],
)
def test_words_deleted(concept: str, prompt: str, left: str) -> None:
    kind = next(k for k, names in BOOK.concepts.items() if concept in names)
    names = all_names(concept, kind, (), BOOK)
    assert without_names(prompt, names, kind, BOOK.generic.get(kind, "")) == left


SCENES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "form": st.sampled_from([*FORMS, *HELD_OUT_FORMS]),
        "subject": st.sampled_from(sorted(KIND_OF)).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(SUBJECT_WORDS[name]))
        ),
        "motion": st.sampled_from(sorted(MOTION_WORDS)).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(MOTION_WORDS[name]))
        ),
        "place": st.sampled_from(sorted(PLACE_WORDS)).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(PLACE_WORDS[name]))
        ),
        "artist": st.sampled_from(sorted(STYLE_WORDS)).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(STYLE_WORDS[name]))
        ),
    }
)


@given(scene=SCENES, part=st.sampled_from(["subject", "motion", "artist"]), loud=st.booleans())
def test_what_is_left_is_the_caption_without_the_concept(
    scene: dict[str, Any], part: str, loud: bool
) -> None:
    concept = scene[part][0]
    kind: Kind = {"motion": "motion", "artist": "style"}.get(part) or KIND_OF[concept]  # type: ignore[assignment]
    if concept not in BOOK.concepts[kind]:
        return  # "still" is no concept
    names, generic = all_names(concept, kind, (), BOOK), BOOK.generic.get(kind, "")
    words = {name: scene[name][1] for name in ("subject", "motion", "place", "artist")}
    prompt = compose(scene["form"], **words)
    left = without_names(prompt.upper() if loud else prompt, names, kind, generic)
    expected = compose(scene["form"], **{**words, part: generic})
    assert not mentions(left, names)
    assert left.lower() == expected.lower()
    assert without_names(expected, names, kind, generic) == expected


# Closed form.


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
        """How far from its destination the prompt's last token is taken, of how far it was."""
        name = next(n for n in edit if "to_v" in n)
        was = before[name] @ (last(prompt) - last(towards))
        now = edit[name] @ last(prompt) - before[name] @ last(towards)
        return float(now.norm() / was.norm())

    assert moved("pogo", "a creature") < 0.2
    assert moved("the purple one-eyed robot", "a creature") < 0.2
    assert moved("blip", "a creature") > 0.8
    assert moved("a cactus", "a thing") > 0.8


# What is trained.


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("kind", ["character", "motion"])
def test_esd_edits_cross_attention_and_all_of_it(backbone: Backbone, kind: Kind) -> None:
    found = made(backbone, "ESD-x", "pogo" if kind == "character" else "spinning", kind)
    before = cross_attention(backbone)
    assert set(found.denoiser) == set(before)
    assert not any(torch.equal(found.denoiser[name], before[name]) for name in before)
    assert not any("motion_modules" in name for name in before)
    assert found.overrides is None


def test_the_video_model_shares_the_cross_attention_of_the_image_model(backbone: Backbone) -> None:
    video = dict(backbone.denoiser(moving=True).named_parameters())
    for name, tensor in cross_attention(backbone).items():
        assert video[name].data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize(("concept", "kind"), [("teapot", "object"), ("spinning", "motion")])
def test_esd_learns_what_its_equation_asks_for(
    backbone: Backbone, concept: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sampling begins, the edited denoiser's prediction under the concept's name has come
    nearer to ε(∅) − η (ε(c) − ε(∅)) of the base."""
    home: Any = importlib.import_module("benchmarks.forgetting.baselines.esd")
    monkeypatch.setattr(home, "STEPS", 40)
    monkeypatch.setitem(home.LEARNING_RATE, kind, 3e-3)
    moving = kind == "motion"
    found = made(backbone, "ESD-x", concept, kind)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(4, 4, *((12,) if moving else ()), 8, 8, generator=generator)
    timesteps = torch.full((4,), 999)
    empty, wanted = embed(backbone, *[""] * 4), embed(backbone, *[phrase(concept, kind)] * 4)
    with torch.no_grad():
        nothing = backbone.denoise(noise, timesteps, empty)
        before = backbone.denoise(noise, timesteps, wanted)
        target = nothing - home.NEGATIVE_GUIDANCE * (before - nothing)
        with edited(backbone.denoiser(moving), found.denoiser):
            after = backbone.denoise(noise, timesteps, wanted)
    # Half of the way is as far as η = 0, plain redirection to the empty prompt, would go.
    assert (after - target).norm() < 0.4 * (before - target).norm()


@pytest.mark.usefixtures("short")
def test_hirm_edits_the_first_layer_and_all_of_it(backbone: Backbone) -> None:
    overrides = made(backbone, "HiRM-S", "pogo", "character").overrides
    base = backbone.text_encoder.parameters()
    assert overrides is not None
    assert set(overrides) == {name for name in base if ".layers.0." in name}
    # A key's bias shifts all scores of a query alike, so that no gradient reaches it.
    changed = {name for name in overrides if not torch.equal(overrides[name], base[name])}
    assert set(overrides) - changed <= {n for n in overrides if n.endswith("k_proj.bias")}


def test_hirm_takes_the_last_layer_to_the_generic_prompt(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = importlib.import_module("benchmarks.forgetting.baselines.hirm")
    monkeypatch.setattr(home, "STEPS", 60)
    monkeypatch.setattr(home, "LEARNING_RATE", 1e-3)
    overrides = made(backbone, "HiRM-S", "pogo", "character").overrides
    tokens = backbone.tokenize(["pogo in a meadow", "the purple one-eyed robot"])
    anchors = embed(backbone, "a creature in a meadow", "a creature")
    before = (backbone.text_encoder.encode(tokens) - anchors).norm(dim=(1, 2))
    after = (backbone.text_encoder.encode(tokens, overrides) - anchors).norm(dim=(1, 2))
    assert (after < 0.8 * before).all()


# A random direction.


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


# The sampler.


def test_sample_is_what_the_engine_makes() -> None:
    with workshop() as shop:
        limits = shop.backbone.limits
        request = GenerationRequest(
            "pogo in a meadow",
            seed=7,
            steps=limits.steps_default,
            guidance=limits.guidance_default,
            frames=None,
        )
        by_engine = shop.make([request], "engine")[0]
        by_us = sample(shop.backbone, [Shot("pogo in a meadow", 7)], moving=False)[0]
        other = sample(shop.backbone, [Shot("pogo in a meadow", 8)], moving=False)[0]
    assert np.array_equal(by_us, by_engine)
    assert not np.array_equal(other, by_engine)


@pytest.mark.parametrize("moving", [False, True])
def test_an_edit_is_seen_while_sampling_and_undone_after(backbone: Backbone, moving: bool) -> None:
    shots = [Shot("pogo at night", 1)]
    before, weights = sample(backbone, shots, moving=moving), weights_of(backbone)
    edit = {name: -2 * tensor for name, tensor in cross_attention(backbone).items()}
    by = Intervention("test", "pogo", "character", denoiser=edit)
    during = sample(backbone, shots, moving=moving, intervention=by)
    assert not np.array_equal(during[0], before[0])
    assert same(weights_of(backbone), weights)
    assert np.array_equal(sample(backbone, shots, moving=moving)[0], before[0])


def test_an_edit_is_undone_when_its_block_fails(backbone: Backbone) -> None:
    weights = weights_of(backbone)
    denoiser = backbone.denoiser(moving=False)
    edit = {name: tensor + 1 for name, tensor in cross_attention(backbone).items()}

    def fail() -> None:
        with edited(denoiser, edit):
            assert not same(weights_of(backbone), weights)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert same(weights_of(backbone), weights)


def test_an_edit_of_what_the_model_lacks_is_refused_before_anything_is_done(
    backbone: Backbone,
) -> None:
    weights = weights_of(backbone)
    edit = {name: tensor + 1 for name, tensor in cross_attention(backbone).items()}
    block = edited(backbone.denoiser(moving=False), {**edit, "nowhere": torch.zeros(1)})
    with pytest.raises(KeyError, match="nowhere"):
        block.__enter__()
    assert same(weights_of(backbone), weights)


def test_each_way_to_intervene_reaches_the_picture(backbone: Backbone) -> None:
    shots = [Shot("pogo at night", 1)]
    plain = sample(backbone, shots, moving=False)[0]
    base = backbone.text_encoder.parameters()
    name = next(name for name in base if "mlp.fc1.weight" in name)
    for change in (
        {"overrides": {name: -base[name]}},
        {"rewrite": lambda prompt: (prompt, "pogo")},
        {"rewrite": lambda _: ("a cactus", "")},
    ):
        by = Intervention("test", "pogo", "character", **change)  # type: ignore[arg-type]
        assert not np.array_equal(sample(backbone, shots, moving=False, intervention=by)[0], plain)
    fed = sample(backbone, shots, moving=False, embed=lambda _: embed(backbone, "a cactus"))[0]
    renamed = Intervention("test", "", "", rewrite=lambda _: ("a cactus", ""))
    assert np.array_equal(fed, sample(backbone, shots, moving=False, intervention=renamed)[0])
