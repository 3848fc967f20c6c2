"""Which encoder a request means, and whether its caller may use it. The only way to choose one.

Nothing here falls back: a caller bound to encoders gets one of them or an error, never the base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import EncoderInvalid, EncoderNotFound, InvalidId
from server.auth.keys import BASE, Caller
from server.errors import Forbidden, InvalidRequest, NotFound

if TYPE_CHECKING:
    from encoders import Card, EncoderStore
    from video.models.backbone import Backbone


@dataclass(frozen=True)
class Choice:
    """An encoder, pinned by its digest; both None for the base."""

    encoder_id: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The encoder's id, or "base"."""
        return self.encoder_id or BASE


def require_admin(caller: Caller) -> None:
    """Raises Forbidden unless the caller's key is an admin's."""
    if caller.role != "admin":
        raise Forbidden(f"Key {caller.id!r} has the role 'user'; this takes an admin's key.")


def may_use(caller: Caller, name: str, aliases: dict[str, str]) -> bool:
    """Whether the caller may use what ``name`` (an id, an alias or "base") stands for.

    A key lists names; what its aliases point to now may be named by its id too.
    """
    if caller.encoders is None or name in caller.encoders:
        return True
    return any(aliases.get(listed) == name for listed in caller.encoders)


def choose(
    caller: Caller, store: EncoderStore, backbone: Backbone, model: str | None, encoder: str | None
) -> Choice:
    """The encoder that ``model`` ("starter:<name>") and ``encoder`` name, or the caller's default.

    Raises:
        InvalidRequest: the two name different encoders; none is named and the key has no default;
            the encoder was made for another base.
        NotFound: no such model.
        EncoderNotFound: no such encoder.
        Forbidden: the key may not use it, whether or not it exists.
    """
    param = "encoder" if encoder is not None else "model"
    name = _named(backbone.name, model, encoder)
    if name is None:
        if caller.default_encoder is None:
            raise InvalidRequest(
                f"Key {caller.id!r} has no default encoder: name one of "
                f"{sorted(caller.encoders or ())}.",
                param="encoder",
                code="encoder_required",
            )
        name = caller.default_encoder
    if caller.encoders is not None and not may_use(caller, name, store.aliases()):
        raise Forbidden(
            f"Key {caller.id!r} may not use encoder {name[:80]!r}; it may use "
            f"{sorted(caller.encoders)}.",
            param=param,
            code="encoder_not_allowed",
        )
    if name == BASE:
        return Choice(None, None)
    try:
        card = store.card(store.resolve(name))
    except (EncoderNotFound, InvalidId, EncoderInvalid) as error:
        error.param = param
        raise
    if card.base != backbone.text_encoder.fingerprint:
        raise EncoderInvalid(
            f"Encoder {card.id!r} was made for another text encoder ({card.base}); this server's "
            f"is {backbone.text_encoder.fingerprint}.",
            param=param,
        )
    return Choice(card.id, card.digest)


def visible_cards(caller: Caller, store: EncoderStore) -> list[Card]:
    """The published encoders the caller may use, oldest first."""
    aliases = {} if caller.encoders is None else store.aliases()
    return [card for card in store.cards() if may_use(caller, card.id, aliases)]


def _named(backbone: str, model: str | None, encoder: str | None) -> str | None:
    """The name in the two fields, or None. Raises InvalidRequest, NotFound."""
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
