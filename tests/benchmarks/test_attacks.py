"""Behaviour common to all attacks, on a tiny model; one attack works on the built-in model."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.forgetting.attacks import ATTACKS, Target
from benchmarks.forgetting.attacks.attack import captions_of, pictures_of
from benchmarks.forgetting.attacks.loss import PicturesLoss
from benchmarks.forgetting.attacks.pseudo_token import pseudo_token
from benchmarks.forgetting.attacks.soft_prefix import soft_prefix
from benchmarks.forgetting.attacks.soft_token import SoftBudget
from benchmarks.forgetting.attacks.vocabulary import spare_words
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.harness import WEIGHTS
from tests.benchmarks.attack_help import (
    BASE,
    CLIPS,
    NAMES,
    RUNS,
    SHORT,
    TARGET,
    Run,
    edit,
    every_attack,
    parameters_of,
    runs,
    search,
    soft,
)
from tests.benchmarks.help import same
from unlearn.few_shots import few_shot_prompts
from unlearn.prompts import held_out_prompts, mentions
from video import load_backbone
from video.frames import Frames
from video.models.backbone import Backbone

TOKEN_EMBEDDING = "text_model.embeddings.token_embedding.weight"
LONGER = runs(SoftBudget(steps=12, batch=3, learning_rates=(0.3,)))


@pytest.fixture
def untouched(backbone: Backbone) -> Generator[None]:
    """Fail if the attack leaves any parameter of the model changed by a single bit."""
    before = parameters_of(backbone)
    yield
    assert same(parameters_of(backbone), before)


def test_all_the_attacks_are_listed_under_their_names(backbone: Backbone) -> None:
    assert list(ATTACKS) == list(RUNS)
    for name, run in RUNS.items():
        assert run(backbone, BASE, TARGET).name == name


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("run", list(LONGER.values()), ids=list(LONGER))
def test_the_loss_falls_and_nothing_of_the_base_is_changed(backbone: Backbone, run: Run) -> None:
    attack = run(backbone, edit(backbone), TARGET)
    assert attack.loss_after < attack.loss_before
    assert attack.seconds > 0
    parameters = [
        *backbone.text_encoder.parameters().values(),
        *backbone.denoiser(is_video=True).network.parameters(),
    ]
    assert parameters
    assert all(parameter.grad is None for parameter in parameters)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("run", [soft(soft_prefix, SHORT), search])
def test_motions_are_attacked_through_the_video_model(backbone: Backbone, run: Run) -> None:
    target = Target("bouncing", "motion", ("bouncing", "hopping"), CLIPS)
    name = "motion_modules.0.proj_out.weight"
    denoiser = dict(backbone.denoiser(is_video=True).network.named_parameters())
    moving = [n for n in denoiser if n.endswith(name)]
    assert moving, "a weight only the video model has"
    by = Intervention("edited", "bouncing", "motion")
    plain = run(backbone, by, target)
    edited = replace(by, denoiser={moving[0]: denoiser[moving[0]].detach() + 0.5})
    assert run(backbone, edited, target).loss_before != plain.loss_before
    assert math.isfinite(plain.loss_after)


@every_attack
@pytest.mark.usefixtures("untouched")
def test_an_edited_denoiser_is_what_is_attacked(backbone: Backbone, run: Run) -> None:
    denoiser = dict(backbone.denoiser(is_video=False).network.named_parameters())
    by = replace(BASE, denoiser={"conv_in.weight": denoiser["conv_in.weight"].detach() * 2})
    attack = run(backbone, by, TARGET)
    assert attack.loss_before != run(backbone, BASE, TARGET).loss_before
    assert attack.model.denoiser is by.denoiser


@every_attack
def test_the_same_seed_finds_the_same_and_another_another(backbone: Backbone, run: Run) -> None:
    def found(seed: int) -> tuple[object, ...]:
        attack = run(backbone, BASE, replace(TARGET, seed=seed))
        rows = (attack.model.overrides or {}).get(TOKEN_EMBEDDING, torch.zeros(1))
        return attack.prompts, attack.loss_before, attack.loss_after, rows.sum().item()

    torch.manual_seed(1)
    first = found(3)
    torch.manual_seed(2)  # the global generator has no say
    assert found(3) == first
    assert found(4)[1:] != first[1:]


def test_prefixes_name_the_concept_and_the_new_word_does_not(backbone: Backbone) -> None:
    asked = {name: run(backbone, BASE, TARGET).prompts for name, run in RUNS.items()}
    held_out = [p for name in NAMES for p in held_out_prompts(name, "character")]
    for name in ("soft prefix", "token search"):
        assert len(asked[name]) == len(held_out)
        assert [p for p in asked[name] if p.endswith(tuple(held_out))] == list(asked[name])
    (word,) = spare_words(backbone, few_shot_prompts("pogo", "character", 8), 1)
    assert not mentions(word, NAMES)
    assert asked["pseudo-token"] == tuple(held_out_prompts(word, "character"))


@every_attack
def test_prompts_are_attacked_as_the_defence_rewrites_them(backbone: Backbone, run: Run) -> None:
    """A defence that removes every name makes the names equal for the attack."""

    def nameless(prompt: str) -> tuple[str, str]:
        for name in ("purple one-eyed robot", "pogo", "cactus"):
            prompt = prompt.replace(name, "blip")
        return prompt, "pogo"

    by = replace(BASE, rewrite=nameless)
    pogo = run(backbone, by, replace(TARGET, names=("pogo",)))
    cactus = run(backbone, by, replace(TARGET, names=("cactus",)))
    assert pogo.loss_before == cactus.loss_before
    assert pogo.loss_after == cactus.loss_after
    assert run(backbone, BASE, replace(TARGET, names=("pogo",))).model.rewrite is BASE.rewrite
    assert pogo.model.rewrite is nameless


def test_pictures_show_what_their_captions_say(backbone: Backbone) -> None:
    pictures = pictures_of(backbone, "pogo", "character")
    target = Target("pogo", "character", NAMES, pictures)
    captions = captions_of(target, ["pogo"], backbone)
    assert len(set(captions)) == len(pictures)
    again = sample(backbone, [SampleRequest(captions[3], 50_003)], is_video=False)
    assert np.abs(again[0].astype(int) - pictures[[3]]).max() <= 1  # alone or in a batch
    assert [mentions(c, ["pogo"]) for c in captions_of(target, NAMES, backbone)] == [
        True,
        False,
    ] * 4


class TestBuiltIn:
    """On the built-in model, with a tenth of the attack's budget."""

    @pytest.fixture(scope="class")
    def model(self) -> Backbone:
        return load_backbone(WEIGHTS)

    @pytest.fixture(scope="class")
    def pictures(self, model: Backbone) -> Frames:
        return pictures_of(model, "pogo", "character")

    def test_a_new_word_learns_what_pogo_looks_like(
        self, model: Backbone, pictures: Frames
    ) -> None:
        target = Target("pogo", "character", ("pogo",), pictures)
        attack = pseudo_token(model, BASE, target, SoftBudget(40, 4, (0.1,)))
        loss = PicturesLoss(model, BASE, target, draws=4)
        with torch.no_grad():
            named = loss.compared(captions_of(target, ["pogo"], model), BASE).item()
        assert named < attack.loss_before
        # At least half the way from "a creature" to the concept's own name.
        assert attack.loss_after < (attack.loss_before + named) / 2
