"""Anchors, on the built-in model's tokenizer and prompt book."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness import WEIGHTS
from encoders import Concept
from unlearn.methods.anchors import anchor_phrase, beginning_of
from unlearn.prompts import all_names, phrase, phrases_of_others
from video import load_backbone
from video.models.backbone import Backbone

NEUTRAL = {"object": "a thing", "character": "a creature", "person": "a person"}


@pytest.fixture(scope="module")
def starter() -> Backbone:
    return load_backbone(WEIGHTS)


FRIENDS = [["mira", "our friend mira"], ["teo", "our friend teo"], ["suri", "a woman in red"]]


@pytest.mark.parametrize(
    ("name", "neutral", "others", "expected"),
    [
        ("otto", "a person", FRIENDS, "person"),
        ("our friend otto", "a person", FRIENDS, "our friend person"),
        ("our friend otto", "a person", [], "a person person"),
        ("a woman in blue", "a person", FRIENDS, "a woman in person"),
        ("a man in blue", "a person", FRIENDS, "a person person person"),
        ("a balloon", "a thing", [["a house"]], "a thing"),
        ("a balloon", "", [["a house"]], "a"),
        (", in the style of dottie", "", [[", in the style of inkara"]], ", in the style of"),
        (", dottie style", "", [[", in the style of inkara"]], ","),
        (" bouncing up and down", "", [[" swaying"]], ""),
        (" bouncing up and down", "", [[" bouncing sideways"]], " bouncing"),
    ],
)
def test_an_anchor_may_keep_the_words_that_another_name_begins_with(
    starter: Backbone, name: str, neutral: str, others: list[list[str]], expected: str
) -> None:
    beginning = beginning_of(name, others)
    assert anchor_phrase(name, neutral, beginning, starter) == expected


@pytest.mark.parametrize("concept", ["pogo", "otto", "mira", "balloon", "teapot", "tamu"])
def test_the_rest_of_the_sentence_keeps_its_position(starter: Backbone, concept: str) -> None:
    kind = next(kind for kind, names in starter.prompts.concepts.items() if concept in names)
    others = phrases_of_others(Concept(name=concept, kind=kind), starter.prompts)
    for name in all_names(concept, kind, (), starter.prompts):
        named = phrase(name, kind)
        for beginning in ("", beginning_of(named, others)):
            anchor = anchor_phrase(named, NEUTRAL[kind], beginning, starter)
            prompts = starter.tokenize([f"here is {p} at night" for p in (named, anchor)])
            (night,) = starter.tokenize(["night"])[0, 1:2].tolist()
            places = (prompts == night).nonzero()[:, 1].tolist()
            assert places[0] == places[1], (named, anchor)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["our", "the", "big", "pogo", "house", ",", "style"]), min_size=1))
def test_any_phrase_has_an_anchor_of_its_length_or_less(
    starter: Backbone, words: list[str]
) -> None:
    named = " ".join(words)
    anchor = anchor_phrase(named, "a person", beginning_of(named, [["our big house"]]), starter)
    assert anchor.split()[-1] == "person"
    assert abs(starter.prompt_tokens(anchor) - starter.prompt_tokens(named)) <= 1
