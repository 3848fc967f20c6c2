"""Attacks that learn one row of the token embedding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.forgetting.attacks.pseudo_token import pseudo_token, unbounded_token
from benchmarks.forgetting.attacks.soft_prefix import soft_prefix
from benchmarks.forgetting.attacks.soft_token import SoftBudget
from benchmarks.forgetting.attacks.vocabulary import (
    spare_words,
    token_embedding,
    with_rows,
    words,
)
from tests.benchmarks.attack_help import (
    BASE,
    FEED_FORWARD,
    TARGET,
    Run,
    edit,
    soft,
    soft_attacks,
)
from unlearn.few_shots import few_shot_prompts
from video.models.backbone import Backbone

TOKEN_EMBEDDING = "text_model.embeddings.token_embedding.weight"


@soft_attacks
def test_one_row_is_changed_beside_what_the_intervention_does(backbone: Backbone, run: Run) -> None:
    by = edit(backbone)
    model = run(backbone, by, TARGET).model
    assert by.overrides is not None
    assert model.overrides is not None
    assert set(model.overrides) == {FEED_FORWARD, TOKEN_EMBEDDING}
    assert model.overrides[FEED_FORWARD] is by.overrides[FEED_FORWARD]
    base = backbone.text_encoder.parameters()[TOKEN_EMBEDDING]
    changed = (model.overrides[TOKEN_EMBEDDING] != base).any(1).nonzero().flatten().tolist()
    (word,) = spare_words(backbone, few_shot_prompts("pogo", "character", 8), 1)
    assert changed == [words(backbone)[word]]
    assert not model.overrides[TOKEN_EMBEDDING].requires_grad
    backbone.text_encoder.check(model.overrides)


def test_tokens_are_no_longer_than_a_words_unless_they_may_be(backbone: Backbone) -> None:
    longest = backbone.text_encoder.parameters()[TOKEN_EMBEDDING].norm(dim=1).max().item()
    (word,) = spare_words(backbone, few_shot_prompts("pogo", "character", 8), 1)

    def length(run: Run) -> float:
        overrides = run(backbone, BASE, TARGET).model.overrides
        assert overrides is not None
        return overrides[TOKEN_EMBEDDING][words(backbone)[word]].norm().item()

    far = SoftBudget(steps=8, batch=2, learning_rates=(5.0,))
    assert length(soft(pseudo_token, far)) == pytest.approx(longest, rel=1e-4)
    assert length(soft(soft_prefix, far)) == pytest.approx(longest, rel=1e-4)
    assert length(soft(unbounded_token, replace(far, bounded=False))) > 3 * longest


@soft_attacks
def test_an_intervention_with_its_own_token_embedding_keeps_the_rest_of_it(
    backbone: Backbone, run: Run
) -> None:
    own = backbone.text_encoder.parameters()[TOKEN_EMBEDDING].half() * 0.5
    by = replace(BASE, overrides={TOKEN_EMBEDDING: own})
    model = run(backbone, by, TARGET).model
    assert model.overrides is not None
    assert int((model.overrides[TOKEN_EMBEDDING] != own.float()).any(1).sum()) == 1


def test_the_better_of_the_learning_rates_is_kept(backbone: Backbone) -> None:
    one, other, both = (
        soft_prefix(backbone, BASE, TARGET, SoftBudget(8, 3, rates)).loss_after
        for rates in ((1e-7,), (0.3,), (0.3, 1e-7))
    )
    assert other < one
    assert both == other


def test_a_row_that_is_laid_over_is_what_the_encoder_sees(backbone: Backbone) -> None:
    """The carrier with another word's row encodes as that word does, and has the gradient."""
    (carrier,) = spare_words(backbone, [], 1)
    known = words(backbone)
    row = token_embedding(backbone, BASE)[[known["cactus"]]].requires_grad_()
    laid = with_rows(backbone, BASE, [known[carrier]], row)
    encode, tokenize = backbone.text_encoder.encode, backbone.tokenize
    got = laid.embed(backbone, [f"a picture of {carrier}"])
    torch.testing.assert_close(got, encode(tokenize(["a picture of cactus"])))
    (gradient,) = torch.autograd.grad(got[0, :, 0].sum(), row)
    assert gradient.abs().sum() > 0
