"""What can go wrong, as exceptions that a server can turn into an answer without guessing."""

from __future__ import annotations

from typing import ClassVar


class PalimpsestError(Exception):
    """Base of every error that is meant for a caller's eyes.

    ``code`` is stable and machine readable; ``param`` names the request field at fault, if one is.
    The message says what was wrong, which value, and what to do. Every room subclasses this one.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidId(PalimpsestError, ValueError):
    """A name that cannot be the id of an encoder or of an alias."""

    code = "invalid_id"


class EncoderNotFound(PalimpsestError):
    """No encoder (or alias) of that name is published."""

    code = "encoder_not_found"


class EncoderExists(PalimpsestError):
    """The id is taken. Published encoders are immutable: choose another id."""

    code = "encoder_exists"


class EncoderInvalid(PalimpsestError):
    """Overrides, card or file that must not be used: wrong base, shape, name, digest or format."""

    code = "encoder_invalid"


class AliasNotFound(PalimpsestError):
    """No alias of that name."""

    code = "alias_not_found"


class AliasExists(PalimpsestError):
    """The name belongs to an alias, so that no encoder can be published under it."""

    code = "alias_exists"


class ReportNotFound(PalimpsestError):
    """The encoder has no report file of that name."""

    code = "report_not_found"
