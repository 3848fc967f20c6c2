"""Composites: published encoders that are a set of others.

A composite has a card and no tensors. Its card lists the members, each by its id and the identity
that it had when the set was made: a member that is deleted or replaced makes every use of the set
fail, and nothing ever takes its place. What the set does to a prompt is `encoders.composition`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from encoders.card import Card, CardMember, Concept, EncoderRef
from encoders.composition import set_identity
from encoders.errors import (
    CompositeInvalid,
    EncoderDamaged,
    EncoderInUse,
    EncoderInvalid,
    EncoderNotFound,
    MemberNotCalibrated,
    MemberUnusable,
)

MAX_MEMBERS = 64
"""Most members of a set. Each of them encodes every new prompt."""
METHOD = "compose"
"""`method` in the card of a composite."""


def composite_card(composite_id: str, cards: Sequence[Card]) -> Card:
    """Return the card of a new composite.

    Args:
        composite_id: Its id.
        cards: The cards of its members. The members of a composite among them take its place.

    Raises:
        CompositeInvalid: There are fewer than two members, or more than `MAX_MEMBERS`; or they
            belong to several bases.
        MemberNotCalibrated: One has no trigger.
    """
    members = members_of(cards)
    identity = set_identity([member.identity for member in members])
    bases = {card.base for card in cards}
    if identity is None or len(members) < 2:
        raise CompositeInvalid("A composite has two different members at least.", param="compose")
    if len(bases) > 1:
        raise CompositeInvalid(
            "The members were made for different text encoders, and one server has one of them.",
            param="compose",
        )
    return Card(
        id=composite_id,
        concepts=concepts_of(cards),
        members=members,
        method=METHOD,
        seed=0,
        base=bases.pop(),
        digest=identity,
        stored=identity,
        created_at=datetime.now(UTC),
    )


def members_of(cards: Sequence[Card]) -> tuple[CardMember, ...]:
    """Return the members of a set of encoders and composites, each once, sorted by identity.

    Raises:
        CompositeInvalid: There are more than `MAX_MEMBERS`.
        MemberNotCalibrated: One has no trigger. It would be open for every prompt.
    """
    found: dict[str, CardMember] = {}
    for card in cards:
        if card.trigger is None and not card.members:
            raise MemberNotCalibrated(
                f"Encoder {card.id!r} has no trigger, so it is used for every prompt and cannot "
                "join a set. Make it again with the method 'redirect', which gives it one.",
                param="compose",
            )
        own = card.members or (CardMember(id=card.id, identity=card.identity),)
        for member in own:
            found.setdefault(member.identity, member)
    if len(found) > MAX_MEMBERS:
        raise CompositeInvalid(
            f"{len(found)} encoders are too many for one set: {MAX_MEMBERS} at most.",
            param="compose",
        )
    return tuple(sorted(found.values(), key=lambda member: member.identity))


def concepts_of(cards: Sequence[Card]) -> tuple[Concept, ...]:
    """Return the concepts of several encoders; one that several forget comes once.

    It has the synonyms and the ways of all of them; a way that one of them forgets is forgotten.
    """
    found: dict[tuple[str, str], Concept] = {}
    for concept in (concept for card in cards for concept in card.concepts):
        key = (concept.name, concept.kind)
        earlier = found.get(key, concept)
        synonyms = tuple(dict.fromkeys((*earlier.synonyms, *concept.synonyms)))
        ways = {way.phrase: way for way in (*earlier.ways, *concept.ways)}
        ways |= {way.phrase: way for way in (*earlier.ways, *concept.ways) if way.forgotten}
        changes = {"synonyms": synonyms, "ways": tuple(ways.values())}
        found[key] = concept.model_copy(update=changes)
    return tuple(found.values())


def check_set(card: Card) -> None:
    """Check that the card of a composite, or of any other encoder, was not changed on disk.

    Raises:
        EncoderDamaged: The members are not those whose identity the card has, or the card is one
            of a set without members, or of an encoder with some.
    """
    if (card.method == METHOD) != bool(card.members):
        raise EncoderDamaged.of(card.id, "members and method do not belong together")
    if not card.members:
        return
    identities = [member.identity for member in card.members]
    is_set = 2 <= len(set(identities)) == len(identities) <= MAX_MEMBERS
    if not is_set or not card.digest == card.stored == set_identity(identities):
        raise EncoderDamaged.of(card.id, "its members are not those that it was made of")


def check_members(card: Card, published: Callable[[str], Card]) -> list[Card]:
    """Check that the members of a composite are published as its card lists them.

    Args:
        card: The composite's, or any other.
        published: Returns the card of a published encoder, or raises EncoderNotFound.

    Returns:
        The members' cards, in the card's order; of an encoder that is no composite, none.

    Raises:
        MemberUnusable: One was deleted or replaced.
    """
    cards: list[Card] = []
    for member in card.members:
        try:
            found = published(member.id)
        except EncoderNotFound:
            found = None
        if found is None or found.identity != member.identity or found.members:
            raise MemberUnusable(
                f"The set {card.id!r} lists encoder {member.id!r}, which was deleted or replaced "
                "since: put the set together anew.",
                param="encoder",
            )
        cards.append(found)
    return cards


def leaf_cards(encoder: EncoderRef, published: Callable[[str], Card]) -> list[Card]:
    """Return the cards of the encoders that a reference stands for, each once and read once.

    Args:
        encoder: An encoder or a set, as it was pinned.
        published: Returns the card of a published encoder, or raises EncoderNotFound.

    Raises:
        EncoderNotFound: One was deleted.
        EncoderInvalid: An id has another identity now.
        MemberUnusable: A member of a composite was deleted or replaced.
    """
    if encoder.members:
        every = [card for member in encoder.members for card in leaf_cards(member, published)]
    else:
        card = published(encoder.id)
        if card.identity != encoder.identity:
            raise EncoderInvalid(
                f"Encoder {encoder.id!r} is no longer the one that was requested: its identity "
                f"is {card.identity}, not {encoder.identity}."
            )
        every = check_members(card, published) or [card]
    return list({card.identity: card for card in every}.values())


def leaves_of(encoder: EncoderRef, published: Callable[[str], Card]) -> list[EncoderRef]:
    """Return the encoders that a reference stands for, each once; checked as by `leaf_cards`."""
    return [card.ref for card in leaf_cards(encoder, published)]


def check_unlisted(encoder_id: str, cards: Sequence[Card], unclear: Sequence[str]) -> None:
    """Check that no composite lists an encoder that is to be deleted.

    Args:
        encoder_id: The encoder's.
        cards: All published ones that can be read.
        unclear: Ids of damaged encoders without overrides, which may be composites.

    Raises:
        EncoderInUse: One lists it, or nobody can tell.
    """
    if sets := sets_with(encoder_id, cards):
        raise EncoderInUse(
            f"Encoder {encoder_id!r} is a member of {', '.join(map(repr, sets[:5]))}"
            f"{' and others' if len(sets) > 5 else ''}. Delete the set first, or force the "
            "deletion: then every use of the set fails.",
            param="encoder_id",
        )
    for other in unclear:
        if other != encoder_id:
            raise EncoderInUse(
                f"The card of {other!r} is damaged: it may be a set, and {encoder_id!r} one of its "
                "members. Repair it or delete it first, or force the deletion.",
                param="encoder_id",
            )


def sets_with(encoder_id: str, cards: Iterable[Card]) -> list[str]:
    """Return the ids of the composites that list the encoder of this id as it is now.

    A composite that lists another encoder that had the id before cannot be used any more.

    Args:
        encoder_id: The encoder's. If its own card is not among the cards, the id decides.
        cards: All published ones that can be read.
    """
    every = list(cards)
    now = {card.identity for card in every if card.id == encoder_id}
    return sorted(
        card.id
        for card in every
        if any(
            member.id == encoder_id and (member.identity in now or not now)
            for member in card.members
        )
    )
