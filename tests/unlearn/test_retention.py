"""Retention: the captions that are drawn, and how far they have moved."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from unlearn.methods.retention import Retention
from video import load_backbone
from video.models.backbone import Backbone

CAPTIONS = [f"{subject} {where}" for subject in ("pogo", "mira") for where in ("", "by the sea")]


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def retention(backbone: Backbone, captions: list[str]) -> Retention:
    return Retention(captions, (), backbone, torch.Generator().manual_seed(0))


def embed(backbone: Backbone, captions: list[str]) -> torch.Tensor:
    return backbone.text_encoder.encode(backbone.tokenize(captions)).detach()


def test_drift_is_from_the_base_and_by_caption(backbone: Backbone) -> None:
    held = retention(backbone, CAPTIONS)
    for _ in range(3):  # from the second time on, from the cache
        drawn = held.draw(4)
        assert len(drawn) == 5
        assert drawn[-1] == ""
        assert set(drawn[:-1]) <= set(CAPTIONS)
        now = embed(backbone, drawn)
        torch.testing.assert_close(held.drift(drawn, now), torch.zeros(5), rtol=0, atol=1e-6)
        now[1] += 2
        torch.testing.assert_close(held.drift(drawn, now), torch.tensor([0, 4.0 + 4.0, 0, 0, 0]))


def test_what_has_drifted_is_drawn_more_often(backbone: Backbone) -> None:
    captions = [f"{i} by the sea" for i in range(20)]
    held = retention(backbone, captions)
    moved: Counter[str] = Counter()
    for step in range(100):
        drawn = held.draw(6)
        if step >= 20:  # all were seen
            moved.update(drawn)
        now = embed(backbone, drawn)
        now[[i for i, caption in enumerate(drawn) if caption == captions[7]]] += 1
        held.drift(drawn, now)
    assert moved[captions[7]] > 3 * max(moved[c] for c in captions if c != captions[7])


def test_captions_that_were_not_drawn_yet_come_first(backbone: Backbone) -> None:
    captions = [f"{i} by the sea" for i in range(20)]
    held = retention(backbone, captions)
    seen: set[str] = set()
    for _ in range(7):  # three of six are drawn by how far they have drifted
        drawn = held.draw(6)
        seen.update(drawn)
        held.drift(drawn, embed(backbone, drawn) + 1)
    assert seen == {*captions, ""}


def test_without_captions_the_empty_prompt_is_held(backbone: Backbone) -> None:
    held = retention(backbone, [])
    assert held.draw(16) == [""]
    assert held.drift([""], embed(backbone, [""])).tolist() == pytest.approx([0.0], abs=1e-6)


def test_a_draw_may_be_larger_than_the_captions(backbone: Backbone) -> None:
    assert len(retention(backbone, CAPTIONS).draw(64)) == 4 + 4 + 1


def test_a_run_that_diverges_can_still_draw(backbone: Backbone) -> None:
    held = retention(backbone, CAPTIONS)
    drawn = held.draw(4)
    for broken in (torch.nan, torch.inf, 1e30):
        held.drift(drawn, torch.full_like(embed(backbone, drawn), broken))
        assert len(held.draw(4)) == 5
