"""Staging store: encoders that are made but not judged yet.

The judging requests can use them; no client sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from encoders import Card, Encoder, EncoderInvalid, EncoderNotFound
from encoders.blob_store import BlobStore
from encoders.store import EncoderStore


class StagingStore(EncoderStore):
    """The store that the device loads from: published encoders first, then staged ones.

    Requests are checked against the published store alone, so no request can name a staged encoder.

    Args:
        published: The published encoders.
        drafts: The folder of the staged ones.
    """

    def __init__(self, published: EncoderStore, drafts: BlobStore) -> None:
        super().__init__(drafts)
        self._published = published
        self._staged = EncoderStore(drafts)

    def card(self, encoder_id: str) -> Card:
        """Return the card of the published encoder, or else of the staged one.

        Raises:
            EncoderNotFound: Neither exists.
        """
        try:
            return self._published.card(encoder_id)
        except EncoderNotFound:
            return self._staged.card(encoder_id)

    def stage(self, encoder: Encoder) -> None:
        """Stage an encoder, in place of another of its id.

        One that is staged already stays as it is: a later attempt at its job may be using it.
        """
        card = encoder.card
        with suppress(EncoderNotFound, EncoderInvalid):
            found = self._staged.card(card.id)
            if found.model_copy(update={"created_at": card.created_at}) == card:
                return
        with suppress(EncoderNotFound):
            self.delete(card.id)
        self.publish(encoder)

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

    def sweep_ended(self, pending: Callable[[], Collection[str]]) -> list[str]:
        """Remove the staged encoders of jobs that have ended, and return their ids.

        Args:
            pending: Returns the ids of the encoders that are being made. It is called once the
                staged ones are listed, and an encoder is staged while its job is pending.
        """
        staged = self._staged.ids()
        making = pending()
        gone = [encoder_id for encoder_id in staged if encoder_id not in making]
        for encoder_id in gone:
            with suppress(EncoderNotFound):
                self._staged.delete(encoder_id)
        self._staged.sweep()
        return gone
