"""Goal F9: the captions, the prompts and the share that stays the base's."""

from __future__ import annotations

import pytest
import torch

from benchmarks.forgetting.cases import KIND_OF
from benchmarks.forgetting.composed import (
    COUNTS,
    FACTORS,
    _captions,  # pyright: ignore[reportPrivateUsage]
    _pairs,  # pyright: ignore[reportPrivateUsage]
    identity,
    order,
)
from benchmarks.harness import WEIGHTS
from encoders import Concept
from encoders.composition import Member
from tests.triggers import trigger_at
from unlearn.prompts import all_names, mentions
from video import load_backbone
from video.models.backbone import Backbone


@pytest.fixture(scope="module")
def starter() -> Backbone:
    return load_backbone(WEIGHTS)


FEED_FORWARD = "text_model.encoder.layers.0.mlp.fc2.weight"


def member(backbone: Backbone, concept: str, threshold: float) -> Member:
    base = backbone.text_encoder.parameters()[FEED_FORWARD]
    noise = torch.randn(base.shape, generator=torch.Generator().manual_seed(0))
    size = backbone.embed([""]).shape[2]
    trigger = trigger_at(threshold, size=size).detector()
    named = (Concept(name=concept, kind=KIND_OF[concept]),)
    return Member(f"sha256:{concept}", {FEED_FORWARD: base + 0.1 * noise}, trigger, named)


def test_a_set_of_any_size_has_several_kinds() -> None:
    concepts = order()
    assert len(concepts) == len(set(concepts)) == len(KIND_OF)
    assert len({KIND_OF[concept] for concept in concepts[: COUNTS[1]]}) == COUNTS[1]


@pytest.mark.parametrize("count", COUNTS)
def test_captions_mention_no_member(starter: Backbone, count: int) -> None:
    concepts = order()[:count]
    names = [name for one in concepts for name in all_names(one, KIND_OF[one], (), starter.prompts)]
    captions = list(_captions(starter, concepts, 60))
    assert len(set(captions)) == len(captions) >= 50
    assert not [caption for caption in captions if mentions(caption, names)]


def test_pairs_name_two_members() -> None:
    concepts = order()[:4]
    for case in _pairs(concepts, 12):
        assert sum(concept in case.prompt for concept in concepts) == 2


@pytest.mark.parametrize(("threshold", "share"), [(1e9, 1.0), (1e-9, 0.0)])
def test_identity_is_the_share_that_opens_no_member(
    starter: Backbone, threshold: float, share: float
) -> None:
    members = {concept: member(starter, concept, threshold) for concept in order()[:2]}
    found = identity(starter, members, 20)
    assert found["identity"]["rate"] == share
    rates = [found["identity by θ"][f"{factor:g}"]["rate"] for factor in FACTORS]
    assert rates == sorted(rates)
    assert len(found["captions that open"]) == (0 if share else 5)
