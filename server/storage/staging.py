"""Encoders that are made but not yet judged: usable by the judging requests, visible to nobody."""

from __future__ import annotations

from pathlib import Path

from encoders import Card, Encoder, EncoderNotFound
from encoders.store import EncoderStore


class StagingStore(EncoderStore):
    """The store the device loads from: published encoders, and behind them the drafts.

    Requests are checked against the published store alone, so no request can name a draft.
    """

    def __init__(self, published: EncoderStore, folder: Path) -> None:
        super().__init__(folder)
        self._published = published
        self._own = EncoderStore(folder)

    def card(self, encoder_id: str) -> Card:
        """The published encoder's card, or the draft's. Raises EncoderNotFound."""
        try:
            return self._published.card(encoder_id)
        except EncoderNotFound:
            return self._own.card(encoder_id)

    def draft(self, encoder_id: str) -> Encoder:
        """The draft, whatever is published. Raises EncoderNotFound, EncoderInvalid."""
        return self._own.load(encoder_id)

    def load(self, encoder_id: str) -> Encoder:
        """The published encoder, or the draft. Raises EncoderNotFound, EncoderInvalid."""
        try:
            return self._published.load(encoder_id)
        except EncoderNotFound:
            return self._own.load(encoder_id)
