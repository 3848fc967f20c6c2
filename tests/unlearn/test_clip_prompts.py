"""The sentences that CLIP is asked with, and the alternatives of a concept."""

from __future__ import annotations

import pytest

from unlearn.judges.clip_prompts import PLAIN, label, labels_for
from video.models.prompt_book import PromptBook

NO_BOOK = PromptBook()


def test_a_label_is_weighed_against_the_neutral_and_the_others_of_its_kind() -> None:
    labels = labels_for("zebra", "object", ["car", "tree"], NO_BOOK)
    assert labels == [
        label(["zebra"], "object"),
        label(["a thing"], "object"),
        PLAIN,
        label(["car"], "object"),
        label(["tree"], "object"),
    ]
    assert "a photo of a zebra." in labels[0]
    assert "a picture." in PLAIN


def test_a_style_is_weighed_against_the_same_sentences_without_it() -> None:
    labels = labels_for("van Gogh", "style", ["Claude Monet"], NO_BOOK)
    assert labels == [label(["van Gogh"], "style"), PLAIN, label(["Claude Monet"], "style")]
    assert "a painting, in the style of van Gogh." in labels[0]


@pytest.mark.parametrize(
    ("concept", "other"),
    [("van Gogh", "Vincent van Gogh"), ("Vincent van Gogh", "van gogh"), ("Car", "car")],
)
def test_what_shares_its_name_is_no_alternative(concept: str, other: str) -> None:
    assert len(labels_for(concept, "style", [other], NO_BOOK)) == 2
    assert len(labels_for(concept, "style", ["cartoonish"], NO_BOOK)) == 3


def test_the_books_names_and_words_are_used() -> None:
    book = PromptBook(
        generic={"character": "a beast"},
        concepts={"character": {"pogo": ("purple robot",), "blip": ()}},
    )
    mine, generic, _, other = labels_for("pogo", "character", ["blip"], book)
    assert {"a cartoon of pogo.", "a cartoon of the purple robot."} <= set(mine)
    assert "a cartoon of a beast." in generic
    assert "a cartoon of blip." in other
    # A name the book knows the concept by is no alternative to it either.
    assert labels_for("pogo", "character", ["purple robot"], book)[2:] == [PLAIN]
