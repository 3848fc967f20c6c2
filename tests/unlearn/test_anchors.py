"""What stands in a name's place, on the built-in model's tokenizer and book."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.workshop import WEIGHTS
from unlearn.anchors import in_place_of
from unlearn.fewshot import all_names, phrase, retained_captions
from video import Backbone, load_backbone

NEUTRAL = {"object": "a thing", "character": "a creature", "person": "a person"}


@pytest.fixture(scope="module")
def starter() -> Backbone:
    return load_backbone(WEIGHTS)


@pytest.mark.parametrize(
    ("name", "neutral", "retained", "expected"),
    [
        ("otto", "a person", [], "person"),
        ("our friend otto", "a person", ["our friend mira at night"], "our friend person"),
        ("our friend otto", "a person", ["our house"], "our person person"),
        ("our friend otto", "a person", ["sour friend"], "a person person"),
        ("a balloon", "a thing", ["a house"], "a thing"),
        ("a balloon", "", ["a house"], "a"),
        (", in the style of dottie", "", ["a cat, in the style of inkara"], ", in the style of"),
        (", dottie style", "", ["a cat, inkara style"], ""),
        (" bouncing up and down", "", ["a cat bouncing"], " bouncing"),
        (" bouncing up and down", "", ["a cat"], ""),
    ],
)
def test_an_anchor_keeps_what_others_begin_with_too(
    starter: Backbone, name: str, neutral: str, retained: list[str], expected: str
) -> None:
    assert in_place_of(name, neutral, retained, starter) == expected


@pytest.mark.parametrize("concept", ["pogo", "otto", "mira", "balloon", "teapot", "tamu"])
def test_the_rest_of_the_sentence_stays_where_it_is(starter: Backbone, concept: str) -> None:
    kind = next(kind for kind, names in starter.prompts.concepts.items() if concept in names)
    names = all_names(concept, kind, (), starter.prompts)
    retained = retained_captions(starter.prompts, names)
    for name in names:
        named = phrase(name, kind)
        anchor = in_place_of(named, NEUTRAL[kind], retained, starter)
        prompts = starter.tokenize([f"here is {p} at night" for p in (named, anchor)])
        (night,) = starter.tokenize(["night"])[0, 1:2].tolist()
        places = (prompts == night).nonzero()[:, 1].tolist()
        assert places[0] == places[1], (named, anchor)


def test_what_is_kept_reads_the_same_in_a_causal_encoder(starter: Backbone) -> None:
    """Up to the first word that differs the target is the prompt's own embedding: no pull."""
    tokens = starter.tokenize(["our friend otto at night", "our friend person at night"])
    one, other = starter.text_encoder.encode(tokens)
    torch.testing.assert_close(one[:3], other[:3], rtol=0, atol=1e-5)
    assert (one[3] - other[3]).abs().max() > 0.1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["our", "the", "big", "pogo", "house", ",", "style"]), min_size=1))
def test_any_phrase_has_an_anchor_of_its_length_or_less(
    starter: Backbone, words: list[str]
) -> None:
    named = " ".join(words)
    anchor = in_place_of(named, "a person", ["our big house"], starter)
    assert anchor.split()[-1] == "person"
    assert abs(starter.prompt_tokens(anchor) - starter.prompt_tokens(named)) <= 1
