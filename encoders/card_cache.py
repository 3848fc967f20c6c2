"""Cards that were read before, each good for as long as its blobs stay as they were."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from encoders import layout
from encoders.card import Card

_MOST = 20_000


class CardCache:
    """The cards of one store that were read before.

    A change from outside, such as an import by another process, is seen at once: every use compares
    the versions of the card's blobs.

    Args:
        version: returns a value that changes with a blob; None if there is no blob or no value.
    """

    def __init__(self, version: Callable[[str], Hashable | None]) -> None:
        self._version = version
        self._known: dict[str, _Known] = {}

    def get(self, encoder_id: str, read: Callable[[str], Card]) -> Card:
        """Return an encoder's card. `read` is called, and raises, if it is new or has changed."""
        known = self._known.get(encoder_id)
        if known is not None and known.versions == self._versions(known.card):
            return known.card
        self._known.pop(encoder_id, None)
        card = read(encoder_id)
        versions = self._versions(card)
        if versions is None:
            return card
        # Read again: what is kept must not be older than the versions that it is kept under.
        card = read(encoder_id)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[encoder_id] = _Known(card, versions)
        return card

    def _versions(self, card: Card) -> tuple[Hashable, ...] | None:
        stored = self._version(layout.card_path(card.id))
        if stored is None:
            return None
        return stored, self._version(layout.judgement_path(card))


class _Known(NamedTuple):
    card: Card
    versions: tuple[Hashable, ...]
