"""Anchor embeddings: which words of a caption are to move, and how far."""

from __future__ import annotations

import pytest
import torch

from benchmarks.harness import WEIGHTS
from encoders import Concept
from tests.model_zoo import ModelZoo
from unlearn import UnlearnSettings, UnlearnTask
from unlearn.methods.anchor_rows import Anchors, Beginning, is_causal
from unlearn.methods.name_tokens import leading_tokens
from unlearn.prompts import Caption
from video import load_backbone
from video.models.backbone import Backbone

MIRA, OTTO = Concept(name="mira", kind="person"), Concept(name="otto", kind="person")


@pytest.fixture(scope="module")
def starter() -> Backbone:
    return load_backbone(WEIGHTS)


def anchors_of(backbone: Backbone, concept: Concept, **settings: str) -> Anchors:
    return Anchors(concept, UnlearnTask((concept,), UnlearnSettings.from_json(settings)), backbone)


@torch.no_grad()
def encoded(backbone: Backbone, *prompts: str) -> torch.Tensor:
    return backbone.text_encoder.encode(backbone.tokenize(prompts))


def test_a_beginning_that_draws_somebody_carries_a_share_of_them(starter: Backbone) -> None:
    """The base draws mira for "a woman" alone, and nobody in particular for "our friend"."""
    mira = anchors_of(starter, MIRA).beginnings
    assert mira["a woman in a yellow shirt"].share > 0.5
    assert mira["the woman with a big black afro"].share > 0.5
    assert mira["our friend mira"].share < 0.4
    assert "mira" not in mira
    assert all(one.share < 0.4 for one in anchors_of(starter, OTTO).beginnings.values())


def test_words_before_the_name_stay_its_beginning_moves_a_part_and_the_rest_wholly(
    starter: Backbone,
) -> None:
    anchors = anchors_of(starter, MIRA)
    name = "a woman in a yellow shirt"
    caption = next(c for c in anchors.captions if c.name == name and "here is" in c.prompt)
    assert caption.prompt.startswith("here is a woman in a yellow shirt")
    assert caption.anchor.startswith("here is a person person person person person")
    named, neutral = encoded(starter, caption.prompt, caption.anchor)
    [target] = anchors.encode([caption])
    share = anchors.beginnings[name].share
    torch.testing.assert_close(target[:3], named[:3], rtol=0, atol=1e-5)
    halfway = named[3:7] + share * (neutral[3:7] - named[3:7])
    torch.testing.assert_close(target[3:7], halfway, rtol=0, atol=1e-5)
    torch.testing.assert_close(target[7:], neutral[7:], rtol=0, atol=1e-5)


def test_a_name_of_its_own_words_gets_the_neutral_sentence(starter: Backbone) -> None:
    anchors = anchors_of(starter, MIRA)
    caption = next(c for c in anchors.captions if c.prompt == "mira at night")
    [target] = anchors.encode([caption])
    torch.testing.assert_close(target, encoded(starter, "person at night")[0], rtol=0, atol=1e-5)


def test_without_neutral_words_nothing_but_the_name_goes(starter: Backbone) -> None:
    dottie = Concept(name="dottie", kind="style")
    anchors = anchors_of(starter, dottie)
    assert anchors.beginnings == {}
    caption = next(c for c in anchors.captions if c.prompt.endswith(", in the style of dottie"))
    assert caption.anchor.endswith(", in the style of")
    torch.testing.assert_close(anchors.encode([caption])[0], encoded(starter, caption.anchor)[0])


def test_an_asked_anchor_takes_the_names_place(starter: Backbone) -> None:
    anchors = anchors_of(starter, MIRA, anchor="a house")
    assert {c.anchor for c in anchors.captions if c.prompt == "mira at night"} == {"house at night"}


def test_other_captions_move_at_the_beginning_and_nowhere_else(starter: Backbone) -> None:
    beginning = anchors_of(starter, MIRA).beginnings["the woman with a big black afro"]
    prompts = ["here is the woman with red glasses", "a cactus at night", "here is suri"]
    rows, base = starter.tokenize(prompts), encoded(starter, *prompts)
    moved = beginning.moved(rows, base, starter.text_encoder)
    neutral = encoded(starter, "here is a person person red glasses")[0]
    assert beginning.neutral != beginning.tokens
    expected = base[0, 3:6] + beginning.share * (neutral[3:6] - base[0, 3:6])
    torch.testing.assert_close(moved[0, 3:6], expected, rtol=0, atol=1e-4)
    assert torch.equal(moved[0, 6:], base[0, 6:])
    assert torch.equal(moved[0, :3], base[0, :3])
    assert torch.equal(moved[1:], base[1:])


def test_a_beginning_without_a_share_moves_nothing(starter: Backbone) -> None:
    beginning = Beginning((1, 2), (3, 4), 0.0)
    rows = torch.tensor([[0, 1, 2, 5]])
    embeddings = torch.ones(1, 4, 2)
    assert beginning.moved(rows, embeddings, starter.text_encoder) is embeddings


def test_rows_take_a_token_before_their_first_word(starter: Backbone) -> None:
    anchors, first = anchors_of(starter, MIRA), leading_tokens(starter)
    rows = anchors.rows(anchors.captions[:2])
    after = rows.after(torch.tensor([[7], [8]]), first)
    for changed, before in ((after.prompts, rows.prompts), (after.neutral, rows.neutral)):
        assert changed.shape == before.shape
        assert changed[:, first].tolist() == [7, 8]
        assert torch.equal(changed[:, :first], before[:, :first])
        assert torch.equal(changed[:, first + 1 :], before[:, first:-1])
    assert torch.equal(after.weights[:, first + 1 :], rows.weights[:, first:-1])


@pytest.mark.parametrize(("family", "causal"), [("animatediff", True), ("wan", False)])
def test_an_encoder_that_reads_both_ways_needs_no_beginning(
    model_zoo: ModelZoo, family: str, causal: bool
) -> None:
    backbone = load_backbone(model_zoo.model(family))
    assert is_causal(backbone) == causal
    said = Concept(name="mira", kind="person", synonyms=("our friend mira",))
    anchors = anchors_of(backbone, said)
    caption = Caption("our friend mira at night", "a person person at night", "our friend mira")
    if not causal:
        assert anchors.beginnings == {}
        assert (anchors.rows([caption]).weights == 1).all()
