"""Composites whose cards were changed on disk, and deletions beside cards that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from encoders import (
    Card,
    EncoderDamaged,
    EncoderInUse,
    EncoderInvalid,
    MemberUnusable,
)
from encoders.composite import METHOD
from encoders.composition import set_identity
from encoders.residency import Residency
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder
from tests.encoders.conftest import MakeEncoder
from tests.encoders.test_composite import publish, publish_set
from tests.triggers import trigger_at


@pytest.fixture
def store(tmp_path: Path) -> EncoderStore:
    return EncoderStore(tmp_path)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def repeated(fields: dict[str, Any]) -> None:
    fields["members"] += fields["members"][:1]


def foreign(fields: dict[str, Any]) -> None:
    fields["members"][0]["identity"] = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["members"].pop(),
        lambda fields: fields.update(members=[]),
        lambda fields: fields.update(members=[], method="redirect"),
        lambda fields: fields.update(method="redirect"),
        repeated,
        foreign,
    ],
)
def test_a_set_whose_members_were_changed_on_disk_is_damaged(
    store: EncoderStore,
    make_encoder: MakeEncoder,
    tmp_path: Path,
    text_encoder: TextEncoder,
    change: Callable[[dict[str, Any]], object],
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(3)]
    both = publish_set(store, "three", cards)
    rewrite(tmp_path / "encoders" / "three" / "card.json", change)
    with pytest.raises((EncoderDamaged, EncoderInvalid)):
        store.load("three")
    resident = Residency(text_encoder, EncoderStore(tmp_path), 1 << 20, "cpu")
    with pytest.raises((EncoderDamaged, EncoderInvalid)), resident.use(both.ref):
        pass


def test_a_set_that_lists_a_set_cannot_be_used_or_published(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(3)]
    both = publish_set(store, "both", cards[:2])
    members = [{"id": card.id, "identity": card.identity} for card in (both, cards[2])]
    identity = set_identity([both.identity, cards[2].identity])
    fields = both.model_dump() | {"id": "nested", "members": members}
    nested = Card.model_validate(fields | {"digest": identity, "stored": identity})
    assert nested.method == METHOD
    with pytest.raises(MemberUnusable, match="'both'"):
        store.publish(type(store.load("e0"))(nested, {}))


def test_an_encoder_is_not_deleted_beside_a_set_that_cannot_be_read(
    store: EncoderStore, make_encoder: MakeEncoder, tmp_path: Path
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(2)]
    publish_set(store, "both", cards)
    card = tmp_path / "encoders" / "both" / "card.json"
    whole = card.read_text()
    card.write_text(whole[:100])
    with pytest.raises(EncoderInUse, match="'both' is damaged"):
        store.delete("e0")
    card.write_text(whole)
    with pytest.raises(EncoderInUse, match="member of 'both'"):
        store.delete("e0")
    card.write_text(whole[:100])
    store.delete("both")  # nothing lists a damaged set
    store.delete("e0")


def test_a_damaged_member_is_deleted_by_force_only(
    store: EncoderStore, make_encoder: MakeEncoder, tmp_path: Path
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(3)]
    publish_set(store, "both", cards[:2])
    for name in ("e0", "e2"):
        (tmp_path / "encoders" / name / "card.json").write_text("{")
    with pytest.raises(EncoderInUse, match="member of 'both'"):
        store.delete("e0")
    store.delete("e2")  # it has overrides, so it is no set
    store.delete("e0", force=True)


@pytest.mark.parametrize("size", [1, 15, 17])
def test_a_trigger_for_embeddings_of_another_width_is_refused_before_any_prompt(
    store: EncoderStore, make_encoder: MakeEncoder, text_encoder: TextEncoder, size: int
) -> None:
    encoder = make_encoder("e0", seed=0)
    card = encoder.card.model_copy(update={"trigger": trigger_at(0.5, size=size)})
    store.publish(type(encoder)(card, encoder.overrides))
    resident = Residency(text_encoder, store, 1 << 20, "cpu")
    with pytest.raises(EncoderInvalid, match="trigger of encoder 'e0'"), resident.use(card.ref):
        pass


def test_a_vocabulary_with_a_learned_row_is_another_base(
    store: EncoderStore, make_encoder: MakeEncoder, text_encoder: TextEncoder
) -> None:
    """So no trigger is ever asked about a token that was learned to stay below it."""
    card = publish(store, make_encoder, "e0", 0)
    module = deepcopy(text_encoder.module)
    with torch.no_grad():
        cast(Any, module).get_input_embeddings().weight[5, 0] += 0.5
    resident = Residency(TextEncoder(module), store, 1 << 20, "cpu")
    with pytest.raises(EncoderInvalid, match="another text encoder"), resident.use(card.ref):
        pass
