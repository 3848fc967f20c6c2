"""Few shots, prompts and their anchors, and captions that mention a concept."""

from __future__ import annotations

import numpy as np

from unlearn.few_shots import FEW_SHOTS, few_shot_prompts, few_shot_requests, few_shots_of
from unlearn.prompts import (
    Caption,
    all_names,
    book_sentences,
    captions,
    held_out_prompts,
    mentions,
    noun_phrase,
)
from video.capabilities import Capabilities
from video.models.prompt_book import PromptBook

BOOK = PromptBook(
    generic={"object": "a thing", "character": "some creature"},
    concepts={
        "object": {"balloon": ("a red balloon",), "umbrella": ()},
        "character": {"pogo": ("the purple one-eyed robot",)},
    },
)


def test_few_shot_prompts_differ_and_name_the_concept() -> None:
    for kind, concept in (("object", "teapot"), ("style", "neonix"), ("motion", "bouncing")):
        prompts = few_shot_prompts(concept, kind, 6, book=BOOK)
        assert len(set(prompts)) == 6
        assert all(concept in prompt for prompt in prompts)
    assert len(few_shot_prompts("teapot", "object", 20)) == 20


def test_few_shots_are_stills_with_a_seed_each_and_clips_for_a_motion() -> None:
    capabilities = Capabilities(native_width=64, native_height=64, frames_max=24)
    stills = few_shot_requests("pogo", "character", capabilities=capabilities, book=BOOK, seed=7)
    assert [(r.seed, r.frames) for r in stills] == [(7 + i, None) for i in range(FEW_SHOTS)]
    clips = few_shot_requests("bouncing", "motion", capabilities=capabilities, book=BOOK)
    assert {r.frames for r in clips} == {capabilities.frames_default}
    still, clip = np.zeros((1, 8, 8, 3), np.uint8), np.zeros((5, 8, 8, 3), np.uint8)
    assert few_shots_of([still, still], "character").shape == (2, 8, 8, 3)
    assert few_shots_of([clip, clip], "motion").shape == (2, 5, 8, 8, 3)


def test_an_anchor_is_the_same_sentence_without_the_concept() -> None:
    assert Caption("pogo in a room", "some creature in a room", "pogo") in captions(
        "pogo", "character", (), book=BOOK
    )
    assert Caption("a teapot at night", "a thing at night", "teapot") in captions(
        "teapot", "object", ()
    )
    assert Caption(
        "a balloon by the sea, in the style of neonix", "a balloon by the sea", "neonix"
    ) in (captions("neonix", "style", (), book=BOOK))
    assert Caption("pogo bouncing in a room", "pogo in a room", "bouncing") in captions(
        "bouncing", "motion", (), book=BOOK
    )
    assert Caption("pogo in a room", "zumi in a room", "pogo") in captions(
        "pogo", "character", (), neutral="zumi"
    )


def test_synonyms_are_put_into_every_sentence() -> None:
    found = captions("pogo", "character", ("the purple one-eyed robot",), book=BOOK)
    assert (
        Caption(
            "here is the purple one-eyed robot",
            "here is some creature",
            "the purple one-eyed robot",
        )
        in found
    )
    assert Caption("a house as a tiled mosaic", "a house", "as a tiled mosaic") not in found
    styles = [c.prompt for c in captions("tesselo", "style", ("as a tiled mosaic", "by tesselo"))]
    assert "a house, as a tiled mosaic" in styles
    assert "a house, by tesselo" in styles


def test_names_get_the_article_their_kind_asks_for() -> None:
    assert noun_phrase("umbrella", "object") == "an umbrella"
    assert noun_phrase("a teapot", "object") == "a teapot"
    assert noun_phrase("pogo", "character") == "pogo"
    assert noun_phrase("pogo the robot", "character") == "pogo the robot"
    assert noun_phrase("purple one-eyed robot", "character") == "the purple one-eyed robot"
    assert noun_phrase("Ada Lovelace", "person") == "Ada Lovelace"


def test_held_out_prompts_are_no_prompts_of_the_optimiser() -> None:
    for kind, concept in (("character", "pogo"), ("style", "neonix"), ("motion", "bouncing")):
        used = {caption.prompt for caption in captions(concept, kind, (), book=BOOK)}
        held_out = held_out_prompts(concept, kind, book=BOOK)
        assert held_out
        assert not used & set(held_out)


def test_a_caption_mentions_whole_words_only() -> None:
    assert mentions("Pogo, by the sea", ["pogo"])
    assert mentions("the purple one-eyed robot at night", ["purple one-eyed robot"])
    assert not mentions("a starfish", ["star"])
    assert not mentions("anything", [" "])


def test_all_names_are_the_callers_and_the_books() -> None:
    names = all_names("pogo", "character", ("robo", "pogo"), BOOK)
    assert names == ["pogo", "robo", "the purple one-eyed robot"]


def test_a_books_captions_lend_their_sentences() -> None:
    book = PromptBook(
        retain=(
            "the purple one-eyed robot at sea",
            "zumi swaying, by inkara",
            "a drawing of zumida in a {jar}",
            "zumi, never seen",
            "a house",
        ),
        concepts={"character": {"pogo": ("purple one-eyed robot",), "zumi": ()}},
    )
    assert book_sentences(book, "character", ["pogo", "purple one-eyed robot"]) == [
        "{concept} swaying, by inkara"
    ]
    assert book_sentences(book, "character", ["zumi"]) == ["{concept} at sea"]
    found = captions("pogo", "character", (), book=book, sentences=["{concept} at sea"])
    assert Caption("pogo at sea", "a creature at sea", "pogo") in found
