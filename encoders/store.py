"""Where encoders lie: a directory, or S3, through one interface.

An encoder is immutable. Its card is the last object to be created and the first to be removed, and
its creation is conditional: of two publishers one wins, and a killed one leaves nothing that can be
seen. The rest lies under the digest, so that no loser and no leftover is in the winner's way
(see :mod:`encoders.layout`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from encoders import layout, overrides_file
from encoders.blob_store import Objects, TooLarge
from encoders.card import Card, Encoder, check_id
from encoders.digest import fingerprint
from encoders.errors import (
    AliasExists,
    AliasNotFound,
    EncoderExists,
    EncoderInvalid,
    EncoderNotFound,
    InvalidId,
    ReportNotFound,
)

MAX_OVERRIDES_BYTES = 1 << 30
_MAX_CARD_BYTES = 1 << 20
_MAX_REPORT_BYTES = 1 << 28

_logger = logging.getLogger(__name__)


class EncoderStore:
    """Publishes, lists, loads and deletes encoders, and the aliases that point to them.

    Args:
        location: a directory (created if absent) or a URL such as ``s3://bucket/prefix``.
        max_overrides_bytes: largest overrides file that is written or read.
    """

    def __init__(
        self, location: str | Path, *, max_overrides_bytes: int = MAX_OVERRIDES_BYTES
    ) -> None:
        self._objects = Objects(location)
        self._max_overrides_bytes = max_overrides_bytes

    def publish(self, encoder: Encoder, report: Mapping[str, bytes] | None = None) -> Card:
        """Store an encoder for good, and return its card. Nothing of it is visible before the end.

        Args:
            encoder: its card has to say what its overrides are; they are stored in float16.
            report: file name → content, kept beside it.

        Raises:
            EncoderExists: the id is taken by an encoder.
            AliasExists: the id is taken by an alias.
            EncoderInvalid: the card belongs to other overrides, or the file would be too large.
            InvalidId: a report file's name.
        """
        card = encoder.card
        files = {
            layout.report_path(card, name): content for name, content in (report or {}).items()
        }
        found = fingerprint(encoder.overrides)
        if found != card.stored:
            raise EncoderInvalid(
                f"The card is of overrides {card.stored}, but these are {found}. "
                "Make both from TextEncoder.effective(overrides)."
            )
        data = overrides_file.to_bytes(encoder.overrides)
        if len(data) > self._max_overrides_bytes:
            raise self._too_large(card.id, len(data))
        if self._objects.exists(layout.card_path(card.id)):
            raise _taken(card.id)
        if self._objects.exists(layout.alias_path(card.id)):
            raise AliasExists(
                f"{card.id!r} is an alias: choose another id, or delete the alias first.",
                param="id",
            )
        self._objects.put(layout.overrides_path(card), data)
        for path, content in files.items():
            self._objects.put(path, content)
        if not self._objects.create(layout.card_path(card.id), card.to_json()):
            raise _taken(card.id)
        return card

    def card(self, encoder_id: str) -> Card:
        """The card of a published encoder.

        Raises:
            EncoderNotFound: no encoder has this id.
            EncoderInvalid: its card cannot be read, or belongs to another id.
        """
        data = self._read(layout.card_path(check_id(encoder_id)))
        if data is None:
            raise _missing(encoder_id)
        card = Card.from_json(data)
        if card.id != encoder_id:
            raise EncoderInvalid(
                f"The card stored for encoder {encoder_id!r} is that of {card.id!r}."
            )
        return card

    def cards(self) -> list[Card]:
        """Every published encoder's card, oldest first. One that cannot be read is logged, not
        listed.
        """
        cards: list[Card] = []
        for encoder_id in self._objects.folders("encoders"):
            try:
                cards.append(self.card(encoder_id))
            except (EncoderNotFound, InvalidId):
                continue  # being published, being deleted, or a leftover
            except EncoderInvalid as error:
                _logger.warning("Encoder %r is left out of the list: %s", encoder_id, error)
        return sorted(cards, key=lambda card: (card.created_at, card.id))

    def load(self, encoder_id: str) -> Encoder:
        """A published encoder with its overrides: float16, on the CPU, verified.

        Whether they fit a base is :meth:`TextEncoder.check`'s to say.

        Raises:
            EncoderNotFound: no encoder has this id.
            EncoderInvalid: too large, not safetensors, truncated, or not what the card says.
        """
        card = self.card(encoder_id)
        try:
            data = self._objects.read(layout.overrides_path(card), self._max_overrides_bytes)
        except TooLarge as error:
            raise self._too_large(encoder_id, error.size) from error
        if data is None:
            self.card(encoder_id)  # EncoderNotFound if it was deleted in the meantime
            raise EncoderInvalid(f"The overrides of encoder {encoder_id!r} are missing.")
        overrides = overrides_file.from_bytes(data)
        found = fingerprint(overrides)
        if found != card.stored:
            raise EncoderInvalid(
                f"The overrides of encoder {encoder_id!r} are not those it was published with: "
                f"their fingerprint is {found}, its card says {card.stored}."
            )
        return Encoder(card=card, overrides=overrides)

    def delete(self, encoder_id: str) -> None:
        """Remove an encoder: first its card, then the rest. Aliases to it stay and point nowhere.

        Raises:
            EncoderNotFound: no encoder has this id.
        """
        if not self._objects.exists(layout.card_path(check_id(encoder_id))):
            raise _missing(encoder_id)
        contents = [item.path for item in self._objects.under(f"encoders/{encoder_id}")]
        self._objects.remove([layout.card_path(encoder_id), *contents])

    def report(self, encoder_id: str, name: str) -> bytes:
        """One file of an encoder's report.

        Raises:
            EncoderNotFound, ReportNotFound, InvalidId: no such encoder, no such file, no file name.
        """
        path = layout.report_path(self.card(encoder_id), name)
        data = self._objects.read(path, _MAX_REPORT_BYTES)
        if data is None:
            raise ReportNotFound(
                f"Encoder {encoder_id!r} has no report file {name!r}.", param="name"
            )
        return data

    def report_names(self, encoder_id: str) -> list[str]:
        """Names of the files in an encoder's report, sorted.

        Raises:
            EncoderNotFound: no encoder has this id.
        """
        folder = f"{layout.folder(self.card(encoder_id))}/report"
        return sorted(item.path.rsplit("/", 1)[-1] for item in self._objects.under(folder))

    def sweep(self, older_than: timedelta = timedelta(hours=1)) -> list[str]:
        """Remove what killed publishers and deleters left, and return the paths removed.

        Args:
            older_than: younger leftovers may be a publication under way, and stay.
        """
        before = datetime.now(UTC) - older_than
        kept: dict[str, tuple[str, ...]] = {}
        leftovers: list[str] = []
        for item in self._objects.under("encoders"):
            encoder_id = item.path.split("/")[1]
            if encoder_id not in kept:
                kept[encoder_id] = self._kept(encoder_id)
            if item.last_modified < before and not item.path.startswith(kept[encoder_id]):
                leftovers.append(item.path)
        self._objects.remove(leftovers)
        return sorted(leftovers)

    # Aliases

    def set_alias(self, name: str, encoder_id: str) -> None:
        """Point an alias to a published encoder, atomically, wherever it pointed before.

        Raises:
            EncoderNotFound: no encoder has this id (an alias to an alias is not possible).
            EncoderExists: ``name`` is an encoder's own id.
            InvalidId: ``name`` cannot be a name.
        """
        check_id(name, param="name")
        self.card(encoder_id)
        if self._objects.exists(layout.card_path(name)):
            raise EncoderExists(
                f"{name!r} is an encoder's id: an alias needs a name of its own.", param="name"
            )
        self._objects.put(layout.alias_path(name), encoder_id.encode())

    def aliases(self) -> dict[str, str]:
        """Every alias and the encoder id it points to, sorted by name."""
        names = sorted(item.path.rsplit("/", 1)[-1] for item in self._objects.under("aliases"))
        targets = {name: self._read(layout.alias_path(name)) for name in names}
        return {
            name: target.decode(errors="replace")
            for name, target in targets.items()
            if target is not None
        }

    def alias_target(self, name: str) -> str | None:
        """Return the encoder id that an alias points to; None if there is no such alias."""
        target = self._read(layout.alias_path(check_id(name, param="name")))
        return None if target is None else target.decode(errors="replace")

    def delete_alias(self, name: str) -> None:
        """Remove an alias; the encoder it points to stays.

        Raises:
            AliasNotFound: no such alias.
        """
        if not self._objects.exists(layout.alias_path(check_id(name, param="name"))):
            raise AliasNotFound(f"There is no alias {name!r}.", param="name")
        self._objects.remove([layout.alias_path(name)])

    def resolve(self, name: str) -> str:
        """The id of the encoder that an id or an alias names.

        Raises:
            EncoderNotFound: neither an encoder nor an alias, or an alias whose encoder is gone.
        """
        if self._objects.exists(layout.card_path(check_id(name, param="encoder"))):
            return name
        encoder_id = self.alias_target(name)
        if encoder_id is None:
            raise _missing(name)
        try:
            self.card(encoder_id)
        except (EncoderNotFound, InvalidId) as error:
            raise EncoderNotFound(
                f"Alias {name!r} points to {encoder_id!r}, which is no encoder (any more).",
                param="encoder",
            ) from error
        return encoder_id

    def _read(self, path: str) -> bytes | None:
        """A card or an alias."""
        try:
            return self._objects.read(path, _MAX_CARD_BYTES)
        except TooLarge as error:
            raise EncoderInvalid(
                f"{path} is {error.size} bytes; at most {_MAX_CARD_BYTES} are read."
            ) from error

    def _kept(self, encoder_id: str) -> tuple[str, ...]:
        """Prefixes of what belongs to a published encoder; nothing if there is none."""
        try:
            card = self.card(encoder_id)
        except (EncoderNotFound, InvalidId):
            return ()
        except EncoderInvalid:
            return (f"encoders/{encoder_id}/",)  # broken, not left over: for a person to look at
        return (layout.card_path(encoder_id), f"{layout.folder(card)}/")

    def _too_large(self, encoder_id: str, size: int) -> EncoderInvalid:
        return EncoderInvalid(
            f"The overrides of encoder {encoder_id!r} are {size} bytes; at most "
            f"{self._max_overrides_bytes} are allowed."
        )


def _missing(name: str) -> EncoderNotFound:
    return EncoderNotFound(f"There is no encoder {name!r}.", param="encoder")


def _taken(encoder_id: str) -> EncoderExists:
    return EncoderExists(
        f"There is an encoder {encoder_id!r} already, and encoders are immutable: choose another "
        "id, or delete it first.",
        param="id",
    )
