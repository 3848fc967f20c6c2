"""Staging store: encoders that are made but not judged yet.

The judging requests can use them; no client sees them. Each attempt at a job has a draft of its
own, so that a late one, on a replica that was taken for dead, does not touch another's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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

    def stage(self, encoder: Encoder, draft: str) -> None:
        """Stage an encoder, in place of another of this draft.

        One that is staged already stays as it is.

        Args:
            encoder: The encoder.
            draft: Id under which it is staged (`draft_id`).
        """
        card = encoder.card.model_copy(update={"id": draft})
        with suppress(EncoderNotFound, EncoderInvalid):
            found = self._staged.card(card.id)
            if found.model_copy(update={"created_at": card.created_at}) == card:
                return
        with suppress(EncoderNotFound):
            self.delete(card.id)
        self.publish(Encoder(card, encoder.overrides))

    def staged(self, encoder_id: str) -> Encoder:
        """Load a staged encoder, even if one of this id is published.

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

    def delete_of(self, job_id: str) -> list[str]:
        """Remove the staged encoders of all attempts at a job, and return their ids."""
        return self._delete(name for name in self._staged.ids() if _job_of(name) == job_id)

    def sweep_ended(self, pending: Callable[[], Collection[str]]) -> list[str]:
        """Remove the staged encoders of jobs that have ended, and return their ids.

        Args:
            pending: Returns the ids of the jobs that are pending, and of their encoders, which
                earlier versions staged under their own ids. It is called once the staged ones
                are listed, and an encoder is staged while its job is pending.
        """
        staged = self._staged.ids()
        making = pending()
        gone = self._delete(name for name in staged if not {name, _job_of(name)} & {*making})
        self._staged.sweep()
        return gone

    def _delete(self, names: Iterable[str]) -> list[str]:
        gone = list(names)
        for name in gone:
            with suppress(EncoderNotFound):
                self._staged.delete(name)
        return gone


def draft_id(job_id: str, attempt: int) -> str:
    """Return the id under which an attempt at a job stages its encoder."""
    return f"{job_id}.{attempt}"


def _job_of(draft: str) -> str:
    return draft.partition(".")[0]
