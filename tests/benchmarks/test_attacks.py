"""The attacks on tiny random models, and one that has to work on the built-in model."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.forgetting.attacks import ATTACKS, Attack, Target
from benchmarks.forgetting.attacks.attack import captions_of, pictures_of, prompts_for
from benchmarks.forgetting.attacks.loss import PicturesLoss
from benchmarks.forgetting.attacks.pseudo_token import boundless_token, pseudo_token
from benchmarks.forgetting.attacks.soft_prefix import soft_prefix
from benchmarks.forgetting.attacks.soft_token import SoftBudget
from benchmarks.forgetting.attacks.token_search import LENGTH, SearchBudget, token_search
from benchmarks.forgetting.attacks.vocabulary import (
    TOKEN_EMBEDDING,
    spare_words,
    token_embedding,
    with_rows,
    words,
)
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.sampling import Shot, sample
from benchmarks.harness import WEIGHTS
from unlearn.few_shots import few_shot_prompts
from unlearn.prompts import held_out_prompts, mentions
from video import load_backbone
from video.frames import Frames
from video.models.backbone import Backbone

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
CLIPS = RANDOM.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
NAMES = ("pogo", "purple one-eyed robot")
TARGET = Target("pogo", "character", NAMES, IMAGES)
BASE = Intervention("base", "pogo", "character")
SOFT = SoftBudget(steps=30, batch=3, learning_rates=(0.3,))
BOUNDLESS = replace(SOFT, bounded=False)
SEARCH = SearchBudget(passes=1, tried=4, draws=2)
FEED_FORWARD = "text_model.encoder.layers.0.mlp.fc1.weight"

Run = Callable[[Backbone, Intervention, Target], Attack]


def soft(attacker: Callable[..., Attack], budget: SoftBudget = SOFT) -> Run:
    return lambda backbone, by, target: attacker(backbone, by, target, budget)


def search(backbone: Backbone, by: Intervention, target: Target) -> Attack:
    return token_search(backbone, by, target, SEARCH)


RUNS: dict[str, Run] = {
    "soft prefix": soft(soft_prefix),
    "pseudo-token": soft(pseudo_token),
    "token search": search,
    "pseudo-token, any length": soft(boundless_token, BOUNDLESS),
}
SOFT_RUNS = {name: run for name, run in RUNS.items() if name != "token search"}
every_attack = pytest.mark.parametrize("run", list(RUNS.values()), ids=list(RUNS))
soft_attacks = pytest.mark.parametrize("run", list(SOFT_RUNS.values()), ids=list(SOFT_RUNS))


@pytest.fixture
def untouched(backbone: Backbone) -> Generator[None]:
    """Fails if anything of the model is not, bit for bit, what it was before the test."""
    before = everything(backbone)
    yield
    after = everything(backbone)
    assert all(torch.equal(before[name], after[name]) for name in before)


def everything(backbone: Backbone) -> dict[str, torch.Tensor]:
    denoiser = dict(backbone.denoiser(moving=True).network.named_parameters())
    tensors = {**backbone.text_encoder.parameters(), **denoiser}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def edit(backbone: Backbone, scale: float = 0.3) -> Intervention:
    """Something done to the encoder that an attack has to leave in place."""
    weight = backbone.text_encoder.parameters()[FEED_FORWARD]
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(7))
    return replace(BASE, overrides={FEED_FORWARD: (weight + scale * noise).half()})


def test_all_the_attacks_are_listed_under_their_names(backbone: Backbone) -> None:
    assert list(ATTACKS) == list(RUNS)
    for name, run in RUNS.items():
        assert run(backbone, BASE, TARGET).name == name


@every_attack
@pytest.mark.usefixtures("untouched")
def test_the_loss_falls_and_nothing_of_the_base_is_changed(backbone: Backbone, run: Run) -> None:
    attack = run(backbone, edit(backbone), TARGET)
    assert attack.loss_after < attack.loss_before
    assert attack.seconds > 0
    assert all(tensor.grad is None for tensor in everything(backbone).values())


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("run", [soft(soft_prefix, SoftBudget(4, 1, (0.1,))), search])
def test_motions_are_attacked_through_the_video_model(backbone: Backbone, run: Run) -> None:
    target = Target("bouncing", "motion", ("bouncing", "hopping"), CLIPS)
    name = "motion_modules.0.proj_out.weight"
    denoiser = dict(backbone.denoiser(moving=True).network.named_parameters())
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
    denoiser = dict(backbone.denoiser(moving=False).network.named_parameters())
    by = replace(BASE, denoiser={"conv_in.weight": denoiser["conv_in.weight"].detach() * 2})
    attack = run(backbone, by, TARGET)
    assert attack.loss_before != run(backbone, BASE, TARGET).loss_before
    assert attack.model.denoiser is by.denoiser


@soft_attacks
def test_one_row_is_changed_beside_what_the_intervention_does(backbone: Backbone, run: Run) -> None:
    by = edit(backbone)
    model = run(backbone, by, TARGET).model
    assert by.overrides is not None
    assert model.overrides is not None
    assert set(model.overrides) == {FEED_FORWARD, TOKEN_EMBEDDING}
    assert model.overrides[FEED_FORWARD] is by.overrides[FEED_FORWARD]
    base = backbone.text_encoder.parameters()[TOKEN_EMBEDDING]
    changed = (model.overrides[TOKEN_EMBEDDING] != base).any(1).nonzero().flatten().tolist()
    (word,) = spare_words(backbone, few_shot_prompts("pogo", "character", 8), 1)
    assert changed == [words(backbone)[word]]
    assert not model.overrides[TOKEN_EMBEDDING].requires_grad
    backbone.text_encoder.check(model.overrides)


def test_tokens_are_no_longer_than_a_words_unless_they_may_be(backbone: Backbone) -> None:
    longest = backbone.text_encoder.parameters()[TOKEN_EMBEDDING].norm(dim=1).max().item()
    (word,) = spare_words(backbone, few_shot_prompts("pogo", "character", 8), 1)

    def length(run: Run) -> float:
        overrides = run(backbone, BASE, TARGET).model.overrides
        assert overrides is not None
        return overrides[TOKEN_EMBEDDING][words(backbone)[word]].norm().item()

    far = SoftBudget(steps=30, batch=3, learning_rates=(5.0,))
    assert length(soft(pseudo_token, far)) == pytest.approx(longest, rel=1e-4)
    assert length(soft(soft_prefix, far)) == pytest.approx(longest, rel=1e-4)
    assert length(soft(boundless_token, replace(far, bounded=False))) > 3 * longest


@soft_attacks
def test_an_intervention_with_its_own_token_embedding_keeps_the_rest_of_it(
    backbone: Backbone, run: Run
) -> None:
    own = backbone.text_encoder.parameters()[TOKEN_EMBEDDING].half() * 0.5
    by = replace(BASE, overrides={TOKEN_EMBEDDING: own})
    model = run(backbone, by, TARGET).model
    assert model.overrides is not None
    assert int((model.overrides[TOKEN_EMBEDDING] != own.float()).any(1).sum()) == 1


def test_found_tokens_are_words_that_come_through_the_tokenizer(backbone: Backbone) -> None:
    by = edit(backbone)
    attack = search(backbone, by, TARGET)
    assert attack.model is by
    known = words(backbone)
    plain = prompts_for(TARGET, NAMES, backbone)
    prefixes = {prompt.removesuffix(p) for prompt, p in zip(attack.prompts, plain, strict=True)}
    (prefix,) = prefixes
    found = prefix.split()
    assert len(found) == LENGTH
    tokens = backbone.tokenize(attack.prompts)[:, 1 : LENGTH + 1]
    assert tokens.tolist() == [[known[word] for word in found]] * len(plain)


def test_a_search_ends_where_its_loss_says_it_does(backbone: Backbone) -> None:
    """What was found has the loss told of, through the tokenizer and the attacked encoder."""
    by = edit(backbone)
    attack = search(backbone, by, TARGET)
    plain = prompts_for(TARGET, NAMES, backbone)[0]
    prefix = attack.prompts[0].removesuffix(plain)
    loss = PicturesLoss(backbone, by, TARGET, draws=SEARCH.draws)
    captions = [prefix + caption for caption in captions_of(TARGET, NAMES, backbone)]
    with torch.no_grad():
        assert loss.compared(captions, by.overrides).item() == attack.loss_after


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
        assert all(any(p.endswith(plain) for plain in held_out) for p in asked[name])
    assert not any(mentions(prompt, NAMES) for prompt in asked["pseudo-token"])
    (word,) = spare_words(backbone, few_shot_prompts("pogo", "character", 8), 1)
    assert asked["pseudo-token"] == tuple(held_out_prompts(word, "character"))


@every_attack
def test_prompts_are_attacked_as_the_defence_rewrites_them(backbone: Backbone, run: Run) -> None:
    """Where the defence drops every name, a name changes nothing for the attack."""

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


def test_the_better_of_the_learning_rates_is_kept(backbone: Backbone) -> None:
    one, other, both = (
        soft_prefix(backbone, BASE, TARGET, SoftBudget(20, 3, rates)).loss_after
        for rates in ((1e-7,), (0.3,), (0.3, 1e-7))
    )
    assert other < one
    assert both == other


def test_words_are_letters_and_one_token(backbone: Backbone) -> None:
    known = words(backbone)
    assert {"pogo", "cactus", "night"} <= set(known)
    assert all(word.isalpha() for word in known)
    start, *_, end = backbone.tokenize([""])[0].tolist()
    for word, token in known.items():
        row = backbone.tokenize([f"{word}, {word}"])[0].tolist()
        assert row[:2] == [start, token]
        assert row[3:5] == [token, end]


def test_spare_words_stand_in_no_prompt(backbone: Backbone) -> None:
    first = spare_words(backbone, [], 2)
    asked = [f"a picture of {first[0]}"]
    tokens = backbone.tokenize([*backbone.prompts.retain, *asked])
    known = words(backbone)
    for word in spare_words(backbone, asked, 5):
        assert word != first[0]
        assert not (tokens == known[word]).any()
    with pytest.raises(ValueError, match="to spare, not 100000"):
        spare_words(backbone, asked, 100_000)


def test_a_row_that_is_laid_over_is_what_the_encoder_sees(backbone: Backbone) -> None:
    """The carrier with another word's row encodes as that word does, and has the gradient."""
    (carrier,) = spare_words(backbone, [], 1)
    known = words(backbone)
    row = token_embedding(backbone, BASE)[[known["cactus"]]].requires_grad_()
    laid = with_rows(backbone, BASE, [known[carrier]], row)
    encode, tokenize = backbone.text_encoder.encode, backbone.tokenize
    got = encode(tokenize([f"a picture of {carrier}"]), laid)
    torch.testing.assert_close(got, encode(tokenize(["a picture of cactus"])))
    (gradient,) = torch.autograd.grad(got[0, :, 0].sum(), row)
    assert gradient.abs().sum() > 0


def test_pictures_show_what_their_captions_say(backbone: Backbone) -> None:
    pictures = pictures_of(backbone, "pogo", "character")
    target = Target("pogo", "character", NAMES, pictures)
    captions = captions_of(target, ["pogo"], backbone)
    assert len(set(captions)) == len(pictures)
    again = sample(backbone, [Shot(captions[3], 50_003)], moving=False)
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
            named = loss.compared(captions_of(target, ["pogo"], model), None).item()
        assert named < attack.loss_before
        # At least half the way from "a creature" to the concept's own name.
        assert attack.loss_after < (attack.loss_before + named) / 2
