"""The published model says of requests the same as the model itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders import Concept
from server.served_model import NoJudge, PublishedJudge, PublishedModel, ServedModel
from tests.tiny import MAX_TOKENS, tokenizer
from unlearn.judges.base import Judge
from unlearn.judges.load import load_judge
from unlearn.trial.probes import NothingToJudge, check_known
from video.load import load_backbone
from video.models.backbone import Backbone
from video.models.token_counter import Cleaning, TokenCounter
from video.models.tokens import Tokens


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


@pytest.fixture(scope="module")
def judge(tiny_backbone_dir: Path, backbone: Backbone) -> Judge:
    return load_judge(tiny_backbone_dir / "judge", backbone.prompts)


def counts(cleaning: Cleaning) -> tuple[Tokens, TokenCounter]:
    tokens = Tokens(tokenizer(), MAX_TOKENS, cleaning)
    tokens.encode(["pogo"])  # which leaves padding and truncation in the tokenizer
    return tokens, TokenCounter(tokens.rules(), tokens.cleaning)


PAIRS = {cleaning: counts(cleaning) for cleaning in Cleaning}


@settings(max_examples=60)
@given(prompt=st.text(max_size=200), cleaning=st.sampled_from(Cleaning))
def test_tokens_are_counted_as_the_model_counts_them(prompt: str, cleaning: Cleaning) -> None:
    tokens, counter = PAIRS[cleaning]
    assert counter.count(prompt) == tokens.count(prompt)


def test_a_long_prompt_is_not_cut_before_it_is_counted() -> None:
    tokens, counter = PAIRS[Cleaning.NONE]
    assert counter.count("pogo " * 100) == tokens.count("pogo " * 100) > MAX_TOKENS


def test_rules_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        TokenCounter("{}", Cleaning.NONE)


def test_what_was_published_is_the_model_for_requests(backbone: Backbone, judge: Judge) -> None:
    document = PublishedModel.of(backbone, judge).model_dump_json()
    later = {**json.loads(document), "field_of_a_later_version": 1}
    read = PublishedModel.model_validate_json(json.dumps(later))
    assert read.identity == PublishedModel.of(backbone, judge).identity
    served, own = read.served(), ServedModel.of(backbone, judge)
    for name in ("name", "base", "capabilities", "not_stepped"):
        assert getattr(served, name) == getattr(own, name)
    assert set(served.parameters) == set(own.parameters)
    assert served.prompt_tokens("pogo in a meadow") == own.prompt_tokens("pogo in a meadow")
    vocabulary = served.require_judge()
    assert vocabulary.identity == judge.identity
    for kind, names in judge.labels.items():
        assert all(vocabulary.knows(name, kind) for name in names)
    with pytest.raises(
        NothingToJudge, match=r"does not know the character 'nobody'.* it knows pogo"
    ):
        check_known([Concept(name="nobody", kind="character")], vocabulary)


def test_another_judge_is_another_model_and_none_is_said(backbone: Backbone, judge: Judge) -> None:
    without = PublishedModel.of(backbone, None)
    assert without.identity != PublishedModel.of(backbone, judge).identity
    with pytest.raises(NoJudge, match="PALIMPSEST_JUDGE"):
        without.served().require_judge()


def test_a_judge_with_an_open_vocabulary_can_be_asked_for_anything(
    backbone: Backbone, tiny_clip_dir: Path
) -> None:
    published = PublishedJudge.of(load_judge(str(tiny_clip_dir), backbone.prompts))
    assert published.knows("a teapot of no list", "object")
    assert not published.knows("jumping", "motion"), "CLIP judges no motion"
