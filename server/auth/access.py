"""Access: the encoder a request means, and the check that its caller may use it.

Every route chooses an encoder through `choose`. Nothing here falls back: a caller bound to encoders
gets one of them or an error, never the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from encoders import (
    CompositeInvalid,
    EncoderInvalid,
    EncoderNotFound,
    EncoderRef,
    InvalidId,
    MemberNotCalibrated,
    MemberUnusable,
)
from encoders.composite import MAX_MEMBERS, check_members, members_of
from encoders.composition import set_identity
from server.auth.keys import BASE, EVERYTHING, Caller
from server.errors import Forbidden, InvalidRequest, NotFound

if TYPE_CHECKING:
    from encoders import Card
    from encoders.store import EncoderStore
    from server.served_model import ServedModel
    from server.storage.alias_table import AliasTable


def require_admin(caller: Caller) -> None:
    """Raise Forbidden unless the caller's key is an admin's."""
    if caller.role != "admin":
        raise Forbidden(f"Key {caller.id!r} has the role 'user'; this takes an admin's key.")


def is_listed(caller: Caller, name: str) -> bool:
    """Return True if the caller's key lists this id, alias or "base", or may use everything."""
    return caller.encoders is None or name in caller.encoders


def may_use_base(caller: Caller) -> bool:
    """Return True if the caller may use the base, and so may see what it draws."""
    return is_listed(caller, BASE)


def may_use(caller: Caller, name: str, aliases: AliasTable) -> bool:
    """Return True if the caller may use the encoder with this id, alias or "base".

    The table of aliases is read only for a name that is not listed.
    """
    return is_listed(caller, name) or name in usable_names(caller, aliases)


def usable_names(caller: Caller, aliases: AliasTable) -> set[str]:
    """Return the names that a bound caller may use: those of its key, and what they point to now.

    A key lists names. An encoder that one of its aliases points to may be named by its id too.
    """
    return _usable_and_addable(caller, aliases)[0]


def choose(
    caller: Caller,
    store: EncoderStore,
    aliases: AliasTable,
    model: ServedModel,
    asked: Sequence[str] | None,
    *,
    param: str,
    ad_hoc_sets: bool,
) -> EncoderRef | None:
    """Return the encoder or set that a request means, pinned by identity; None for the base.

    Args:
        caller: the sender of the request; its default encoder is used if none is named.
        store: the published encoders.
        aliases: the names that stand for them.
        model: the model that will use the encoder.
        asked: the names of the request, ids, aliases or "base" (`encoders_named`).
        param: the request's field that has them.
        ad_hoc_sets: True if a request may put a set together (`PALIMPSEST_AD_HOC_SETS`).

    Raises:
        InvalidRequest: none is named and the key has no default; or the base is named in a set.
        EncoderNotFound: there is no such encoder.
        EncoderInvalid: an encoder was made for another base.
        MemberNotCalibrated: an encoder of a set has no trigger.
        Forbidden: the key may not use the encoders, even if they do not exist; the server takes no
            sets in requests; or a set would weaken what the key is bound to.
    """
    if asked is None:
        if caller.default_encoder is None:
            raise InvalidRequest(
                f"Key {caller.id!r} has no default encoder: name one of "
                f"{sorted(caller.encoders or ())}.",
                param="encoder",
                code="encoder_required",
            )
        asked = [caller.default_encoder]
    names = list(dict.fromkeys(asked))
    if len(names) > 1:  # before anything is looked up: each name costs reads
        _check_set(names, param=param, ad_hoc_sets=ad_hoc_sets)
    check_allowed(caller, names, aliases, param=param)
    if names == [BASE]:
        return None
    cards = _usable_cards(names, store, aliases, model, param=param)
    if len(cards) == 1:
        return cards[0].ref
    _check_stays_on(caller, cards, aliases, param=param)
    return _set_of(cards, param=param)


def check_allowed(
    caller: Caller, names: Sequence[str], aliases: AliasTable, *, param: str = "encoder"
) -> None:
    """Raise Forbidden unless the caller may use these encoders together.

    What a key lists it may use alone. So one of the names must be listed; the others may be listed
    too, or be among the key's additions.
    """
    if all(is_listed(caller, name) for name in names):
        return
    usable, addable = _usable_and_addable(caller, aliases)
    allowed = [name in usable for name in names]
    added = [name in addable or (EVERYTHING in addable and name != BASE) for name in names]
    refused = [
        name
        for name, alone, more in zip(names, allowed, added, strict=True)
        if not alone and not (more and any(allowed))
    ]
    if refused:
        may = f"it may use {sorted(caller.encoders or ())}"
        if caller.additions:
            may += f", and add {sorted(caller.additions)} to them"
        raise Forbidden(
            f"Key {caller.id!r} may not use encoder {refused[0][:80]!r}; {may}.",
            param=param,
            code="encoder_not_allowed",
        )


def _usable_and_addable(caller: Caller, aliases: AliasTable) -> tuple[set[str], set[str]]:
    """Return the names that the caller may use, and may add: those of its key and their targets.

    The table is read once, however many names a request has.
    """
    listed = caller.encoders or frozenset()
    targets = aliases.targets((listed | caller.additions) - {BASE, EVERYTHING})
    usable, addable = (
        set(names).union(targets[name] for name in names if name in targets)
        for names in (listed, caller.additions)
    )
    return usable, addable


def _check_set(names: Sequence[str], *, param: str, ad_hoc_sets: bool) -> None:
    if BASE in names:
        raise InvalidRequest(
            "'base' is the model without an encoder, and cannot be in a set.", param=param
        )
    if not ad_hoc_sets:
        raise Forbidden(
            "This server takes no sets of encoders in requests, since nobody has judged them: make "
            "a composite (POST /v1/encoders with 'compose'), or have the operator set "
            "PALIMPSEST_AD_HOC_SETS.",
            param=param,
            code="sets_not_allowed",
        )


def _check_stays_on(
    caller: Caller, cards: Sequence[Card], aliases: AliasTable, *, param: str
) -> None:
    """Raise Forbidden if a set would weaken an encoder that a bound caller cannot go without.

    Alone most encoders are used for every prompt. In a set each goes by its trigger, and other
    prompts keep the base's embedding.
    """
    if caller.encoders is None:
        return
    usable = usable_names(caller, aliases)
    for card in cards:
        if card.id in usable and card.trigger is not None and not card.trigger.alone:
            raise Forbidden(
                f"Encoder {card.id!r} is used for every prompt alone, and for some only in a set: "
                f"key {caller.id!r} cannot add to it. Keys that add are bound to a composite.",
                param=param,
                code="sets_not_allowed",
            )


def _usable_cards(
    names: Sequence[str],
    store: EncoderStore,
    aliases: AliasTable,
    model: ServedModel,
    *,
    param: str,
) -> list[Card]:
    """Return the cards of the encoders that the names stand for, each once."""
    try:
        cards = {card.identity: card for card in map(store.card, aliases.resolve_all(names, store))}
        for card in cards.values():
            check_members(card, store.card)
    except (EncoderNotFound, InvalidId, EncoderInvalid, MemberUnusable) as error:
        error.param = param
        raise
    for card in cards.values():
        if card.base != model.base:
            raise EncoderInvalid(
                f"Encoder {card.id!r} was made for another text encoder ({card.base}); this "
                f"server's is {model.base}.",
                param=param,
            )
    return list(cards.values())


def _set_of(cards: Sequence[Card], *, param: str) -> EncoderRef:
    """Return the set of several encoders, named by their ids.

    A composite that has all the others as members is the set itself.
    """
    try:
        members = members_of(cards)
    except (MemberNotCalibrated, CompositeInvalid) as error:
        error.param = param
        raise
    identity = set_identity([member.identity for member in members])
    assert identity is not None
    for card in cards:
        if card.identity == identity:
            return card.ref
    return EncoderRef(
        "+".join(sorted(card.id for card in cards)), identity, tuple(card.ref for card in cards)
    )


def visible_cards(caller: Caller, cards: Sequence[Card], aliases: AliasTable) -> list[Card]:
    """Return those of the published encoders' cards that the caller may use, in their order."""
    if caller.encoders is None:
        return list(cards)
    usable = usable_names(caller, aliases)
    return [card for card in cards if card.id in usable]


def encoders_named(
    backbone: str, model: str | None, encoder: str | None, encoders: Sequence[str]
) -> tuple[list[str] | None, str]:
    """Return the encoders that a request's fields name, and the field. None: it names none.

    Args:
        backbone: the model's name.
        model: "starter", "starter:<name>", or "starter:<name>+<name>" for a set.
        encoder: an id, an alias or "base", or several joined by "+".
        encoders: the names of a set.

    Raises:
        InvalidRequest: two fields name different ones, or one names more than a set may have.
        NotFound: `model` is of another backbone.
    """
    found: dict[str, list[str]] = {}
    if model is not None:
        root, colon, rest = model.partition(":")
        if root != backbone:
            raise NotFound(
                f"There is no model {model[:80]!r}; there is {backbone!r}, and "
                f"'{backbone}:<encoder or alias>'.",
                param="model",
                code="model_not_found",
            )
        if colon:
            found["model"] = _names_in(rest, param="model")
    if encoder is not None:
        found["encoder"] = _names_in(encoder, param="encoder")
    if encoders:
        found["encoders"] = list(encoders)
    if len({frozenset(names) for names in found.values()}) > 1:
        said = ", ".join(f"{field} {'+'.join(names)[:80]!r}" for field, names in found.items())
        raise InvalidRequest(
            f"The request names different encoders ({said}): send one of these fields.",
            param=list(found)[-1],
            code="encoder_conflict",
        )
    for field in ("encoders", "encoder", "model"):
        if field in found:
            return found[field], field
    return None, "model" if model is not None and encoder is None else "encoder"


def _names_in(text: str, *, param: str) -> list[str]:
    """Return the names that are joined by "+". Raise InvalidRequest if they are too many."""
    count = text.count("+") + 1  # before the text is split: a body can have thousands
    if count > MAX_MEMBERS:
        raise InvalidRequest(
            f"{param} names {count} encoders; a set has {MAX_MEMBERS} at most.", param=param
        )
    return text.split("+")
