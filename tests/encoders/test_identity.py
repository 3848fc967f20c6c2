"""Identity of an encoder: its tensors and its trigger."""

from __future__ import annotations

import json
from hashlib import sha256

import torch

from encoders import Card, EncoderRef
from tests.encoders.conftest import MakeEncoder
from tests.triggers import trigger_at

TRIGGER = trigger_at(0.1, size=8)


def test_an_encoder_without_a_trigger_is_its_tensors(make_encoder: MakeEncoder) -> None:
    card = make_encoder().card
    assert card.identity == card.digest
    assert card.ref == EncoderRef(card.id, card.digest)


def test_the_trigger_is_a_part_of_the_identity(make_encoder: MakeEncoder) -> None:
    card = make_encoder().card
    triggered = card.model_copy(update={"trigger": TRIGGER})
    lower = card.model_copy(update={"trigger": trigger_at(0.0999, size=8)})
    assert len({card.identity, triggered.identity, lower.identity}) == 3
    assert triggered.ref.identity == triggered.identity
    renamed = triggered.model_copy(update={"id": "another"})
    assert renamed.identity == triggered.identity


def test_an_identity_of_before_triggers_had_a_length_is_still_the_same(
    make_encoder: MakeEncoder,
) -> None:
    """Sets, keys and records refer to it."""
    card = make_encoder().card.model_copy(update={"trigger": TRIGGER})
    [one] = TRIGGER.concepts
    opens = {"theta": one.theta, "directions": one.directions, "rank": one.rank}
    named = [["character", concept.name] for concept in card.concepts]
    decisive = [card.digest, {"concepts": [opens], "alone": False}, named]
    digest = sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    assert card.identity == f"sha256:{digest}"


def test_the_names_that_a_set_goes_by_are_a_part_of_the_identity(
    make_encoder: MakeEncoder,
) -> None:
    card = make_encoder().card.model_copy(update={"trigger": TRIGGER})
    [concept] = card.concepts
    same = concept.model_copy(update={"name": concept.name.upper() + " "})
    other = concept.model_copy(update={"synonyms": ("the red ball",)})
    identities = [
        card.model_copy(update={"concepts": (one,)}).identity for one in (concept, same, other)
    ]
    assert identities[0] == identities[1] != identities[2]


def test_a_card_keeps_its_trigger_to_the_bit(make_encoder: MakeEncoder) -> None:
    third = trigger_at(1 / 3, 2 / 7, size=7)
    card = make_encoder().card.model_copy(update={"trigger": third})
    read = Card.of_encoder(card.id, card.to_json())
    assert read == card
    assert read.trigger is not None
    assert torch.equal(read.trigger.concepts[1].matrix(), torch.eye(7) / 7**0.5)


def test_a_card_of_the_first_version_is_read_and_always_on(make_encoder: MakeEncoder) -> None:
    card = make_encoder().card
    first = card.to_json().replace(b'"schema_version": 3', b'"schema_version": 1')
    first = first.replace(b'  "trigger": null,\n', b"")
    first = first.replace(b'  "members": [],\n', b"")
    assert b"members" not in first
    read = Card.of_encoder(card.id, first)
    assert read.schema_version == 1
    assert read.trigger is None
    assert read.identity == card.identity
