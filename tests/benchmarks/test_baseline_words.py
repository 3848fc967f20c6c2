"""The baselines that change only the prompt: the negative prompt and the deleted word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.forgetting.baselines.word_deleted import without_names
from benchmarks.harness import WEIGHTS
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
from tests.benchmarks.help import made
from unlearn.prompts import all_names, mentions
from video.models.backbone import Backbone
from video.models.prompt_book import read_prompts

BOOK = read_prompts(WEIGHTS)


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
