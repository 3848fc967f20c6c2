"""Composites: a card that lists published encoders, and what becomes of it without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders import (
    Card,
    CompositeInvalid,
    Concept,
    Encoder,
    EncoderInUse,
    EncoderInvalid,
    EncoderNotFound,
    EncoderRef,
    MemberNotCalibrated,
    MemberUnusable,
)
from encoders.composite import MAX_MEMBERS, composite_card, concepts_of, members_of
from encoders.composition import set_identity
from encoders.residency import Residency
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder
from tests.encoders.conftest import MakeEncoder
from tests.triggers import trigger_at

SIZE = 16


@pytest.fixture
def store(tmp_path: Path) -> EncoderStore:
    return EncoderStore(tmp_path)


def publish(
    store: EncoderStore, make_encoder: MakeEncoder, name: str, seed: int, concept: str = ""
) -> Card:
    made = make_encoder(name, seed=seed)
    found = (Concept(name=concept or name, kind="character"),)
    update = {"trigger": trigger_at(0.5, size=SIZE), "concepts": found}
    return store.publish(Encoder(made.card.model_copy(update=update), made.overrides))


def publish_set(store: EncoderStore, name: str, cards: list[Card]) -> Card:
    return store.publish(Encoder(composite_card(name, cards), {}))


def test_a_composite_lists_its_members_by_identity(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    one, other = (publish(store, make_encoder, f"e{i}", i) for i in range(2))
    card = publish_set(store, "both", [other, one])
    assert {member.ref for member in card.members} == {one.ref, other.ref}
    assert card.identity == set_identity([one.identity, other.identity])
    assert {concept.name for concept in card.concepts} == {"e0", "e1"}
    assert store.card("both") == card
    assert store.load("both").overrides == {}


def test_the_order_and_the_name_of_a_set_change_nothing_about_it(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(3)]
    found = composite_card("a", cards)
    again = composite_card("b", cards[::-1])
    assert (found.identity, found.members) == (again.identity, again.members)


def test_a_composite_of_composites_is_one_of_their_members(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(3)]
    both = publish_set(store, "both", cards[:2])
    rest = publish_set(store, "rest", cards[1:])
    assert composite_card("all", [both, rest]).identity == composite_card("x", cards).identity


def test_an_encoder_without_a_trigger_joins_no_set(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    calibrated = publish(store, make_encoder, "e0", 0)
    always_on = make_encoder("e1", seed=1).card
    with pytest.raises(MemberNotCalibrated, match="'e1' has no trigger"):
        members_of([calibrated, always_on])


def test_a_set_has_two_to_64_members_of_one_base(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    card = publish(store, make_encoder, "e0", 0)
    for cards in ([card], [card, card], [card, card.model_copy(update={"id": "copy"})]):
        with pytest.raises(CompositeInvalid, match="two different members"):
            composite_card("x", cards)
    foreign = card.model_copy(
        update={"base": "sha256:" + "1" * 64, "digest": "sha256:" + "2" * 64, "id": "f"}
    )
    with pytest.raises(CompositeInvalid, match="different text encoders"):
        composite_card("x", [card, foreign])
    many = [
        card.model_copy(update={"digest": f"sha256:{i:064x}", "id": f"m{i}"})
        for i in range(MAX_MEMBERS + 1)
    ]
    assert len(composite_card("x", many[:-1]).members) == MAX_MEMBERS
    with pytest.raises(CompositeInvalid, match=f"{MAX_MEMBERS + 1} encoders are too many"):
        composite_card("x", many)


def test_concepts_that_several_forget_come_once_with_every_synonym(
    make_encoder: MakeEncoder,
) -> None:
    card = make_encoder("e0").card
    one = Concept(name="pogo", kind="character", synonyms=("the red ball",))
    other = Concept(name="pogo", kind="character", synonyms=("pogo the hero", "the red ball"))
    house = Concept(name="pogo", kind="object")
    found = concepts_of(
        [
            card.model_copy(update={"concepts": (one, house)}),
            card.model_copy(update={"concepts": (other,)}),
        ]
    )
    synonyms = ("the red ball", "pogo the hero")
    assert found == (one.model_copy(update={"synonyms": synonyms}), house)


def test_a_member_is_deleted_by_force_only_and_the_set_fails_then(
    store: EncoderStore, make_encoder: MakeEncoder, text_encoder: TextEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(2)]
    both = publish_set(store, "both", cards)
    resident = Residency(text_encoder, store, 1 << 20, "cpu")
    with resident.use(both.ref) as members:
        assert {member.identity for member in members} == {card.identity for card in cards}
    with pytest.raises(EncoderInUse, match="member of 'both'"):
        store.delete("e0")
    with resident.use(both.ref) as members:
        assert len(members) == 2
    store.delete("e0", force=True)
    with pytest.raises(MemberUnusable, match="'both' lists encoder 'e0'"), resident.use(both.ref):
        pass
    publish(store, make_encoder, "e0", 7)  # another one of that name takes no place in the set
    with pytest.raises(MemberUnusable), resident.use(both.ref):
        pass
    store.delete("e0")
    publish(store, make_encoder, "e0", 0)  # the same tensors and trigger are the same encoder
    with resident.use(both.ref) as members:
        assert len(members) == 2
    store.delete("both")
    store.delete("e0")


class LosingStore(EncoderStore):
    """A store in which an encoder is deleted after its card was looked at, as it is loaded."""

    def load(self, encoder_id: str) -> Encoder:
        self.delete(encoder_id, force=True)
        return super().load(encoder_id)


def test_a_member_that_goes_while_it_is_loaded_is_told_as_one(
    tmp_path: Path, make_encoder: MakeEncoder, text_encoder: TextEncoder
) -> None:
    store = LosingStore(tmp_path)
    both = publish_set(store, "both", [publish(store, make_encoder, f"e{i}", i) for i in range(2)])
    resident = Residency(text_encoder, store, 1 << 20, "cpu")
    with pytest.raises(MemberUnusable, match="'both' lists encoder 'e"), resident.use(both.ref):
        pass
    alone = publish(store, make_encoder, "alone", 3)
    with pytest.raises(EncoderNotFound), resident.use(alone.ref):
        pass


def test_a_set_with_a_member_that_is_gone_is_not_published(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(2)]
    store.delete("e1")
    with pytest.raises(MemberUnusable):
        publish_set(store, "both", cards)
    assert not store.has("both")


def test_a_request_of_a_set_uses_each_member_once(
    store: EncoderStore, make_encoder: MakeEncoder, text_encoder: TextEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(3)]
    both = publish_set(store, "both", cards[:2])
    asked = EncoderRef("both+e1+e2", "sha256:0", (both.ref, cards[1].ref, cards[2].ref))
    resident = Residency(text_encoder, store, 1 << 20, "cpu")
    with resident.use(asked) as members:
        assert sorted(one.identity for one in members) == sorted(c.identity for c in cards)
    store.delete("e2")
    with pytest.raises(EncoderNotFound), resident.use(asked):
        pass
    publish(store, make_encoder, "e2", 9)
    with pytest.raises(EncoderInvalid, match="no longer the one"), resident.use(asked):
        pass
    assert resident.stats().resident == 3


def test_a_sweep_leaves_a_composite_and_its_report(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    cards = [publish(store, make_encoder, f"e{i}", i) for i in range(2)]
    card = composite_card("both", cards)
    store.publish(Encoder(card, {}), {"report.json": b"{}"})
    assert store.sweep() == []
    assert store.report("both", "report.json") == b"{}"


@pytest.mark.parametrize("alone", [False, True])
def test_alone_a_member_goes_by_its_trigger_only_if_it_was_made_so(
    store: EncoderStore, make_encoder: MakeEncoder, text_encoder: TextEncoder, alone: bool
) -> None:
    made = make_encoder("e0", seed=0)
    trigger = trigger_at(0.5, size=SIZE, alone=alone)
    card = made.card.model_copy(update={"trigger": trigger})
    store.publish(Encoder(card, made.overrides))
    both = publish_set(store, "both", [card, publish(store, make_encoder, "e1", 1)])
    resident = Residency(text_encoder, store, 1 << 20, "cpu")
    with resident.use(card.ref) as (member,):
        assert (member.trigger is not None) is alone
    with resident.use(EncoderRef("e0", card.identity, (card.ref,))) as (member,):
        assert (member.trigger is not None) is alone
    with resident.use(both.ref) as members:
        assert all(member.trigger is not None for member in members)
    other = made.card.model_copy(update={"trigger": trigger_at(0.5, size=SIZE, alone=not alone)})
    assert other.identity != card.identity
