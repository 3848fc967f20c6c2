"""Residency of encoders that were deleted: they leave the device."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders import Card, EncoderRef
from encoders.residency import Residency
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder

from .conftest import MakeEncoder


@pytest.fixture
def store(tmp_path: Path) -> EncoderStore:
    return EncoderStore(tmp_path)


@pytest.fixture
def cards(store: EncoderStore, make_encoder: MakeEncoder) -> dict[str, Card]:
    """Publish three encoders of equal size, and return their cards by id."""
    return {f"e{n}": store.publish(make_encoder(f"e{n}", seed=n)) for n in range(3)}


@pytest.fixture
def resident(text_encoder: TextEncoder, store: EncoderStore) -> Residency:
    return Residency(text_encoder, store, 1 << 20, "cpu")


def touch(resident: Residency, *refs: EncoderRef) -> None:
    for ref in refs:
        with resident.use(ref):
            pass


def test_a_deleted_encoder_is_dropped_once_nobody_uses_it(
    store: EncoderStore, cards: dict[str, Card], resident: Residency
) -> None:
    touch(resident, *(card.ref for card in cards.values()))
    size = resident.resident_bytes // 3
    store.delete("e0")
    resident.drop_deleted("e1")  # it is there, and nobody asked about the other
    assert resident.resident_bytes == 3 * size
    resident.drop_deleted("e0")
    assert resident.resident_bytes == 2 * size
    with resident.use(cards["e1"].ref) as (held,):
        store.delete("e1")
        store.delete("e2")
        resident.drop_deleted()
        assert resident.resident_bytes == size
        assert held.overrides
    assert resident.resident_bytes == 0
    assert resident.stats().resident == 0


def test_an_encoder_that_got_another_id_stays_on_the_device_under_it(
    store: EncoderStore, cards: dict[str, Card], resident: Residency, make_encoder: MakeEncoder
) -> None:
    touch(resident, cards["e0"].ref)
    published = store.publish(make_encoder("published", seed=0))
    resident.rename(published.ref)
    resident.rename(EncoderRef("nowhere", cards["e1"].identity))  # it is not on the device
    store.delete("e0")
    resident.drop_deleted("e0")
    touch(resident, published.ref)
    assert (resident.stats().misses, resident.stats().hits) == (1, 1)
    store.delete("published")
    resident.drop_deleted("published")
    assert resident.stats().resident == 0


def test_an_encoder_that_was_published_again_stays(
    store: EncoderStore, cards: dict[str, Card], resident: Residency, make_encoder: MakeEncoder
) -> None:
    touch(resident, cards["e0"].ref)
    store.delete("e0")
    store.publish(make_encoder("e0", seed=0))
    resident.drop_deleted("e0")  # told late: it is the same
    touch(resident, cards["e0"].ref)
    assert (resident.stats().misses, resident.stats().hits) == (1, 1)
    store.delete("e0")
    store.publish(make_encoder("e0", seed=5))
    resident.drop_deleted("e0")
    assert resident.stats().resident == 0
