"""The store of published encoders: a directory, or S3, through one interface.

An encoder is immutable. Its card is the last blob to be created, conditionally, and the first to be
removed: one publisher wins, and a killed one leaves nothing visible. Other blobs have the digest in
their path, and so never collide with the winner's (`encoders.layout`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

from encoders import layout
from encoders.blob_store import BlobStore, NotABlob, TooLarge
from encoders.card import Card, check_id, is_id
from encoders.card_cache import CardCache
from encoders.composite import check_members, check_set, check_unlisted
from encoders.encoder import Encoder
from encoders.errors import (
    EncoderDamaged,
    EncoderExists,
    EncoderInvalid,
    EncoderJudged,
    EncoderNotFound,
    InvalidId,
    ReportNotFound,
)
from encoders.judgement import Judgement
from encoders.leftovers import remove_leftovers
from encoders.open_blobs import open_blobs

MAX_OVERRIDES_BYTES = 1 << 30
_MAX_CARD_BYTES = 1 << 20
_MAX_REPORT_BYTES = 1 << 28

_logger = logging.getLogger(__name__)
_overrides_file = partial(import_module, "encoders.overrides_file")  # torch: not for cards alone


class EncoderStore:
    """A store of encoders.

    Args:
        location: A directory (created if absent), a URL such as `s3://bucket/prefix`, or blobs.
        max_overrides_bytes: Largest overrides file that is written or read.
        is_marked: True for a directory with a marker. While it is away, methods raise OSError.
    """

    def __init__(
        self,
        location: str | Path | BlobStore,
        *,
        max_overrides_bytes: int = MAX_OVERRIDES_BYTES,
        is_marked: bool = False,
    ) -> None:
        self._blobs = open_blobs(location, is_marked=is_marked)
        self._max_overrides_bytes = max_overrides_bytes
        self._cards = CardCache(self._blobs.version)

    def publish(self, encoder: Encoder, report: Mapping[str, bytes] | None = None) -> Card:
        """Publish an encoder, and return its card. Nothing of it is visible before the end.

        When this returns, the encoder survives a power cut.

        Args:
            encoder: Its card has to hold the fingerprint of its overrides, which are stored in
                float16. A composite has none.
            report: File name → content, stored beside it.

        Raises:
            EncoderExists: The id belongs to an encoder.
            MemberUnusable: A member of the composite was deleted or replaced.
            EncoderInvalid: The card belongs to other overrides, or the file would be too large.
            InvalidId: A report file's name cannot be used.
        """
        card = encoder.card
        files = {
            layout.report_path(card, name): content for name, content in (report or {}).items()
        }
        if not card.members:
            data = _overrides_file().data_of(encoder)
            if len(data) > self._max_overrides_bytes:
                raise self._too_large(card.id, len(data))
            files[layout.overrides_path(card)] = data
        if self._blobs.exists(layout.card_path(card.id)):
            raise _taken(card.id)
        with self._blobs.writing():
            check_members(card, self.card)
            self._blobs.put_all(files)
            if not self._blobs.create(layout.card_path(card.id), card.to_json()):
                raise _taken(card.id)
        return card

    def card(self, encoder_id: str) -> Card:
        """Return the card of a published encoder, with the measures of a later judging.

        Raises:
            EncoderNotFound: No encoder has this id.
            EncoderDamaged: The card cannot be read, or belongs to another id.
        """
        return self._cards.get(check_id(encoder_id), self._read_card)

    def _read_card(self, encoder_id: str) -> Card:
        try:
            data = self._blobs.read(layout.card_path(encoder_id), _MAX_CARD_BYTES)
        except NotABlob as error:
            raise EncoderDamaged.of(encoder_id, "something else is in its place") from error
        except TooLarge as error:
            reason = f"it has {error.size} bytes, and at most {_MAX_CARD_BYTES} are read"
            raise EncoderDamaged.of(encoder_id, reason) from error
        if data is None:
            raise _missing(encoder_id)
        card = Card.of_encoder(encoder_id, data)
        check_set(card)
        judgement = None if card.measures else self._judgement(card)
        return card.model_copy(update={"measures": judgement.measures}) if judgement else card

    def judge(self, card: Card, judgement: Judgement, report: Mapping[str, bytes]) -> None:
        """Add the judgement of an encoder that was published without one, and its report.

        The card stays as it is. The judgement is the last blob to be created, so a writer that is
        killed leaves an encoder that is not judged.

        Args:
            card: The encoder's card.
            judgement: Its measures.
            report: File name → content.

        Raises:
            EncoderNotFound: The encoder was deleted meanwhile, or replaced by another of its id.
            EncoderJudged: It is judged already.
        """
        files = {layout.report_path(card, name): content for name, content in report.items()}
        with self._blobs.writing():
            found = self.card(card.id)
            if found.identity != card.identity:
                raise _missing(card.id)
            if found.measures:
                raise _judged(card.id)
            self._blobs.put_all(files)
            if not self._blobs.create(layout.judgement_path(card), judgement.to_json()):
                raise _judged(card.id)

    def has(self, encoder_id: str) -> bool:
        """Return True if something is published under this id, a damaged encoder included."""
        return self._blobs.exists(layout.card_path(check_id(encoder_id)))

    def ids(self) -> list[str]:
        """Return the ids under which something is published, damaged encoders included."""
        names = [name for name in self._blobs.subfolders("encoders") if is_id(name)]
        there = self._blobs.each(self.has, names)
        return [name for name, is_there in zip(names, there, strict=True) if is_there]

    def cards(self) -> list[Card]:
        """Return every published encoder's card, oldest first.

        A card that cannot be read is logged and left out.
        """
        return sorted(self._read_cards()[0], key=lambda card: (card.created_at, card.id))

    def _read_cards(self) -> tuple[list[Card], list[str]]:
        """Return the cards that can be read, and the ids of those that cannot."""
        ids = [name for name in self._blobs.subfolders("encoders") if is_id(name)]
        found = self._blobs.each(self._card_or_error, ids)
        cards = [one for one in found if isinstance(one, Card)]
        return cards, [n for n, one in zip(ids, found, strict=True) if isinstance(one, Exception)]

    def _card_or_error(self, encoder_id: str) -> Card | EncoderDamaged | None:
        try:
            return self.card(encoder_id)
        except EncoderNotFound:
            return None  # it is being published or deleted, or a leftover
        except EncoderDamaged as error:
            _logger.warning("Encoder %r is left out of the list: %s", encoder_id, error)
            return error

    def load(self, encoder_id: str) -> Encoder:
        """Load a published encoder: float16, on the CPU, verified against its card.

        `TextEncoder.check` tells if the overrides fit a base. A composite has no overrides.

        Raises:
            EncoderNotFound: No encoder has this id.
            EncoderInvalid: The overrides are too large, not safetensors, truncated, or not those of
                the card.
        """
        card = self.card(encoder_id)
        if card.members:
            return Encoder(card, {})
        try:
            data = self._blobs.read(layout.overrides_path(card), self._max_overrides_bytes)
        except TooLarge as error:
            raise self._too_large(encoder_id, error.size) from error
        except NotABlob as error:
            raise EncoderInvalid(f"The overrides of encoder {encoder_id!r} are no file.") from error
        if data is None:
            self.card(encoder_id)  # EncoderNotFound if it was deleted in the meantime
            raise EncoderInvalid(f"The overrides of encoder {encoder_id!r} are missing.")
        return _overrides_file().encoder_of(card, data)

    def delete(self, encoder_id: str, *, force: bool = False) -> None:
        """Remove an encoder, damaged ones too: first its card, then its other blobs.

        Args:
            encoder_id: The encoder's id.
            force: True to delete it even if composites list it, which cannot be used then.

        Raises:
            EncoderNotFound: No encoder has this id.
            EncoderInUse: A composite lists it, and `force` is False.
        """
        card = layout.card_path(check_id(encoder_id))
        if not self._blobs.exists(card):
            raise _missing(encoder_id)
        with self._blobs.alone(wait=True):  # or the next encoder of this id may lose its blobs
            if not force:
                self.check_unused(encoder_id)
            contents = [item.path for item in self._blobs.walk(f"encoders/{encoder_id}")]
            self._blobs.remove([card])
            self._blobs.remove(contents)

    def check_unused(self, encoder_id: str) -> None:
        """Raise EncoderInUse if a composite lists the encoder, or a damaged one may do so."""
        cards, damaged = self._read_cards()
        blobs = {other: self._blobs.walk(f"encoders/{other}") for other in damaged}
        unclear = [n for n, of in blobs.items() if not any(layout.is_overrides(b.path) for b in of)]
        check_unlisted(encoder_id, cards, unclear)

    def report(self, encoder_id: str, name: str) -> bytes:
        """Return one file of an encoder's report.

        Raises:
            EncoderNotFound: No encoder has this id.
            ReportNotFound: Its report has no such file.
            InvalidId: `name` cannot be a file name.
        """
        path = layout.report_path(self.card(encoder_id), name)
        try:
            data = self._blobs.read(path, _MAX_REPORT_BYTES)
        except (TooLarge, NotABlob):
            data = None
        if not data:  # no file of a report is empty
            raise ReportNotFound(f"{encoder_id!r} has no report file {name!r}.", param="name")
        return data

    def sweep(self, older_than: timedelta = timedelta(hours=1)) -> list[str]:
        """Remove what killed publishers and deleters left, and return its paths.

        Args:
            older_than: Age from which a leftover is removed while others may be publishing: a
                younger one may be theirs. A directory to which nobody publishes just now is rid of
                all.
        """
        return remove_leftovers(self._blobs, self._kept, older_than)

    def _kept(self, encoder_id: str) -> tuple[str, ...]:
        """Return the path prefixes of a published encoder's blobs; none if it does not exist."""
        try:
            card = self.card(encoder_id)
        except (EncoderNotFound, InvalidId):
            return ()
        except EncoderDamaged:
            return (f"encoders/{encoder_id}/",)  # damaged, not left over: kept for inspection
        return (layout.card_path(encoder_id), f"{layout.folder(card)}/")

    def _judgement(self, card: Card) -> Judgement | None:
        try:
            data = self._blobs.read(layout.judgement_path(card), _MAX_CARD_BYTES)
        except (TooLarge, NotABlob):
            return None
        return None if data is None else Judgement.of_encoder(card.id, data)

    def _too_large(self, encoder_id: str, size: int) -> EncoderInvalid:
        return EncoderInvalid(
            f"The overrides of encoder {encoder_id!r} are {size} bytes; at most "
            f"{self._max_overrides_bytes} are allowed."
        )


def _missing(name: str) -> EncoderNotFound:
    return EncoderNotFound(f"There is no encoder {name!r}.", param="encoder")


def _judged(encoder_id: str) -> EncoderJudged:
    return EncoderJudged(
        f"Encoder {encoder_id!r} is judged already, and an encoder is judged once.",
        param="encoder_id",
    )


def _taken(encoder_id: str) -> EncoderExists:
    return EncoderExists(
        f"There is an encoder {encoder_id!r} already, and encoders are immutable: choose another "
        "id, or delete it first.",
        param="id",
    )
