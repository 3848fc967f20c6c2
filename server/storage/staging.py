"""Staging store: encoders that are made but not judged yet.

The judging requests can use them; no client sees them.
"""

from __future__ import annotations

from pathlib import Path

from encoders import Card, Encoder, EncoderNotFound
from encoders.store import EncoderStore


class StagingStore(EncoderStore):
    """The store that the device loads from: published encoders first, then staged ones.

    Requests are checked against the published store alone, so no request can name a staged encoder.
    """

    def __init__(self, published: EncoderStore, folder: Path) -> None:
        super().__init__(folder)
        self._published = published
        self._staged = EncoderStore(folder)

    def card(self, encoder_id: str) -> Card:
        """Return the card of the published encoder, or else of the staged one.

        Raises:
            EncoderNotFound: Neither exists.
        """
        try:
            return self._published.card(encoder_id)
        except EncoderNotFound:
            return self._staged.card(encoder_id)

    def staged(self, encoder_id: str) -> Encoder:
        """Load the staged encoder, even if one of this id is published.

        Raises:
            EncoderNotFound: No encoder of this id is staged.
            EncoderInvalid: Its files are damaged.
        """
        return self._staged.load(encoder_id)

    def load(self, encoder_id: str) -> Encoder:
        """Load the published encoder, or else the staged one.

        Raises:
            EncoderNotFound: Neither exists.
            EncoderInvalid: Its files are damaged.
        """
        try:
            return self._published.load(encoder_id)
        except EncoderNotFound:
            return self._staged.load(encoder_id)
