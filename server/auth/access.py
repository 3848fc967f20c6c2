"""Access: the encoder a request means, and the check that its caller may use it.

Every route chooses an encoder through `choose`. Nothing here falls back: a caller bound to encoders
gets one of them or an error, never the base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders import EncoderInvalid, EncoderNotFound, EncoderRef, InvalidId
from server.auth.keys import BASE, Caller
from server.errors import Forbidden, InvalidRequest, NotFound

if TYPE_CHECKING:
    from encoders import Card
    from encoders.store import EncoderStore
    from server.storage.alias_table import AliasTable
    from video.models.backbone import Backbone


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

    A key lists names. An encoder that one of its aliases points to now may be named by its id too;
    the table is read only for a name that is not listed.
    """
    return is_listed(caller, name) or name in _alias_targets(caller, aliases)


def choose(
    caller: Caller,
    store: EncoderStore,
    aliases: AliasTable,
    backbone: Backbone,
    model: str | None,
    encoder: str | None,
) -> EncoderRef | None:
    """Return the encoder that a request means, pinned by its digest; None for the base.

    Args:
        caller: the sender of the request; its default encoder is used if none is named.
        store: the published encoders.
        aliases: the names that stand for them.
        backbone: the model that will use the encoder.
        model: the request's field: "starter" or "starter:<name>".
        encoder: the request's field: an id, an alias or "base".

    Raises:
        InvalidRequest: the two fields name different encoders, or none is named and the key has no
            default.
        NotFound: there is no such model.
        EncoderNotFound: there is no such encoder.
        EncoderInvalid: the encoder was made for another base.
        Forbidden: the key may not use the encoder, even if it does not exist.
    """
    param = "encoder" if encoder is not None else "model"
    name = encoder_named(backbone.name, model, encoder)
    if name is None:
        if caller.default_encoder is None:
            raise InvalidRequest(
                f"Key {caller.id!r} has no default encoder: name one of "
                f"{sorted(caller.encoders or ())}.",
                param="encoder",
                code="encoder_required",
            )
        name = caller.default_encoder
    if not may_use(caller, name, aliases):
        raise Forbidden(
            f"Key {caller.id!r} may not use encoder {name[:80]!r}; it may use "
            f"{sorted(caller.encoders or ())}.",
            param=param,
            code="encoder_not_allowed",
        )
    if name == BASE:
        return None
    try:
        card = store.card(aliases.resolve(name, store))
    except (EncoderNotFound, InvalidId, EncoderInvalid) as error:
        error.param = param
        raise
    if card.base != backbone.text_encoder.fingerprint:
        raise EncoderInvalid(
            f"Encoder {card.id!r} was made for another text encoder ({card.base}); this server's "
            f"is {backbone.text_encoder.fingerprint}.",
            param=param,
        )
    return card.ref


def visible_cards(caller: Caller, store: EncoderStore, aliases: AliasTable) -> list[Card]:
    """Return the cards of the published encoders the caller may use, oldest first."""
    if caller.encoders is None:
        return store.cards()
    usable = caller.encoders | _alias_targets(caller, aliases)
    return [card for card in store.cards() if card.id in usable]


def _alias_targets(caller: Caller, aliases: AliasTable) -> set[str]:
    """Return the ids that the aliases among the key's names point to now."""
    listed = (caller.encoders or frozenset()) - {BASE}
    return set(aliases.targets(listed).values())


def encoder_named(backbone: str, model: str | None, encoder: str | None) -> str | None:
    """Return the encoder named in a request's two fields, or None.

    Raises:
        InvalidRequest: they name different ones.
        NotFound: `model` is of another backbone.
    """
    in_model: str | None = None
    if model is not None:
        root, colon, rest = model.partition(":")
        if root != backbone:
            raise NotFound(
                f"There is no model {model[:80]!r}; there is {backbone!r}, and "
                f"'{backbone}:<encoder or alias>'.",
                param="model",
                code="model_not_found",
            )
        in_model = rest if colon else None
    if in_model is not None and encoder is not None and in_model != encoder:
        raise InvalidRequest(
            f"model names encoder {in_model[:80]!r} and encoder names {encoder[:80]!r}: "
            "send one of them.",
            param="encoder",
            code="encoder_conflict",
        )
    return encoder if encoder is not None else in_model
