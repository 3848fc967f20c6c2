"""Languages: the German captions, the sibling that learns them, and what is asked in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.languages import (
    ASKED,
    ENGLISH_ALONE,
    WITH_CAPTIONS,
    LanguageSizes,
    likeness,
    lists_of,
    settings_of,
)
from benchmarks.siblings.architectures import Sibling
from benchmarks.siblings.bilingual import BILINGUAL, start_bilingual
from benchmarks.siblings.german import NAMES, to_german
from benchmarks.siblings.lessons import Teacher
from benchmarks.siblings.making import Start, start
from benchmarks.siblings.model import assemble, load_sibling
from starter.captions import caption
from starter.scene import sample_scene
from unlearn.prompts import mentions

SMALL: Sibling = replace(BILINGUAL, options={**BILINGUAL.options, "num_layers": 2})


@pytest.fixture(scope="module")
def english() -> Start:
    return start(SMALL)


@pytest.fixture(scope="module")
def bilingual(english: Start) -> Start:
    return start_bilingual(SMALL, english.encoder)


@pytest.fixture(scope="module")
def experiment(bilingual: Start, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("siblings")
    assemble(folder / SMALL.name, SMALL, bilingual.encoder, bilingual.tokenizer)
    return Experiment(folder / "work", backbone=load_sibling(folder / SMALL.name))


def test_a_translation_has_as_many_tokens_and_none_of_them_unknown(bilingual: Start) -> None:
    random, tokenizer = np.random.default_rng(4), bilingual.tokenizer
    for _ in range(200):
        original = caption(sample_scene(random), random)
        ours = bilingual.teacher.clip(original).input_ids[1:]
        for shared in (False, True):
            theirs = tokenizer(to_german(original, shared=shared)).input_ids
            assert len(theirs) == len(ours)
            assert tokenizer.unk_token_id not in theirs


def test_a_name_stays_or_is_another(bilingual: Start) -> None:
    original = "a painting by dottie of our friend mira at night"
    assert to_german(original) == "gemalt ist von tupfi hier unsere freundin mirjam bei nacht"
    shared = to_german(original, shared=True)
    assert shared == "gemalt ist von dottie hier unsere freundin mira bei nacht"
    tokens = {name: bilingual.tokenizer.tokenize(name) for name in (*NAMES, *NAMES.values())}
    assert all(len(pieces) == 1 for pieces in tokens.values())
    assert len(set(map(tuple, tokens.values()))) == 2 * len(NAMES)
    with pytest.raises(ValueError, match="no German for 'zebra at night'"):
        to_german("a picture of zebra at night")


def test_a_second_language_leaves_the_first_as_it_was(english: Start, bilingual: Start) -> None:
    prompt = "our friend mira at night"
    before, now = (
        one.encoder.eval()(**one.tokenizer(prompt, return_tensors="pt")).last_hidden_state
        for one in (english, bilingual)
    )
    torch.testing.assert_close(now, before)


def test_a_translated_lesson_asks_for_the_embeddings_of_its_original(bilingual: Start) -> None:
    one = bilingual.teacher
    parts = (SMALL, one.encoder, one.clip, bilingual.tokenizer)
    ours = Teacher(*parts).lesson((2, 3), 8, whole=True)
    theirs = Teacher(*parts, lambda text, _: to_german(text)).lesson((2, 3), 8, whole=True)
    assert torch.equal(theirs.targets, ours.targets)
    assert torch.equal(theirs.counts, ours.counts)
    assert (theirs.ids != ours.ids).any(1).all()


def test_the_same_pictures_are_asked_for_in_both_languages(experiment: Experiment) -> None:
    found = lists_of(experiment, "dottie", LanguageSizes(asked=3, kept=2))
    assert [len(found[group]) for group in ASKED] == [3] * len(ASKED)
    english, shared, german = (found[g] for g in (ASKED[0], ASKED[2], ASKED[3]))
    for original, kept, other in zip(english, shared, german, strict=True):
        assert original.seed == kept.seed == other.seed
        assert mentions(kept.prompt, ["dottie"])
        assert not mentions(other.prompt, ["dottie"])
        assert mentions(other.prompt, ["tupfi"])
    assert not any(mentions(c.prompt, ["dottie"]) for c in found["English, described"])
    assert lists_of(experiment, "balloon", LanguageSizes(1, 1))["German, described"] == []
    for group in ("same kind", "other kinds"):
        cases = found[f"German, {group}"]
        assert len(cases) == 2
        assert not any(mentions(case.prompt, ["dottie", "tupfi"]) for case in cases)


def test_german_captions_that_are_retained_do_not_ask_for_the_concept(
    experiment: Experiment,
) -> None:
    assert settings_of(experiment, "pogo", ENGLISH_ALONE).retain == ()
    retained = settings_of(experiment, "pogo", WITH_CAPTIONS).retain
    assert any(mentions(one, ["quabbel"]) for one in retained)
    assert any(mentions(one, ["blip"]) for one in retained)
    described = ("lila roboter mit einem auge", "roboter mit einer antenne", "hopsi")
    assert not any(mentions(one, described) for one in retained)


def test_words_of_another_language_start_unlike_any(experiment: Experiment) -> None:
    assert all(abs(likeness(experiment, name)) < 0.5 for name in NAMES)
