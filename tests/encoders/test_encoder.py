"""`Encoder.of` fills in the card of an encoder from its base and overrides."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import torch

from encoders import Concept, Encoder, EncoderInvalid, EncoderRef, low_rank
from encoders.digest import digest, fingerprint
from encoders.text_encoder import TextEncoder

from .conftest import assert_same_tensors, nudged
from .test_low_rank import factors

CONCEPTS = (Concept(name="pogo", kind="character"),)


def test_the_card_says_what_the_overrides_are(text_encoder: TextEncoder) -> None:
    before = datetime.now(UTC)
    trained = {name: tensor.requires_grad_() for name, tensor in factors(text_encoder).items()}
    encoder = Encoder.of(
        text_encoder,
        trained,
        id="no-pogo",
        concepts=CONCEPTS,
        method="redirect",
        settings={"steps": 40},
        seed=3,
        parent="no-blip",
    )
    stored = text_encoder.effective(trained)
    assert_same_tensors(encoder.overrides, stored)
    card = encoder.card
    assert (card.id, card.concepts, card.method, card.seed) == ("no-pogo", CONCEPTS, "redirect", 3)
    assert (card.settings, card.parent, card.measures) == ({"steps": 40}, "no-blip", {})
    assert card.base == text_encoder.fingerprint
    assert card.stored == fingerprint(stored)
    assert card.digest == digest(text_encoder.parameters(), stored)
    assert card.digest == fingerprint(low_rank.exact(text_encoder.parameters(), stored))
    assert before <= card.created_at <= datetime.now(UTC)
    assert card.ref == EncoderRef("no-pogo", card.digest)


def test_overrides_that_change_nothing_make_no_encoder(text_encoder: TextEncoder) -> None:
    name, tensor = next(iter(nudged(text_encoder).items()))
    for overrides in ({}, {name: text_encoder.parameters()[name]}, {name: tensor * torch.nan}):
        with pytest.raises(EncoderInvalid):
            Encoder.of(
                text_encoder, overrides, id="no-pogo", concepts=CONCEPTS, method="redirect", seed=0
            )
