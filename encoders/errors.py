"""Errors with a stable code and the field at fault, which a server turns into an answer."""

from __future__ import annotations

from typing import ClassVar, Self


class PalimpsestError(Exception):
    """Base of every error that a caller is shown; every room of the project subclasses it.

    The message says what was wrong, which value, and what to do.

    Attributes:
        code: Stable and machine readable.
        param: The request field at fault, or None.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidId(PalimpsestError, ValueError):
    """A name that cannot be the id of an encoder or of an alias."""

    code = "invalid_id"


class EncoderNotFound(PalimpsestError):
    """Error: no encoder or alias of that name is published."""

    code = "encoder_not_found"


class CompositeInvalid(PalimpsestError):
    """A set of encoders that cannot be put together."""

    code = "composite_invalid"


class MemberNotCalibrated(PalimpsestError):
    """An encoder without a trigger, which can be in no set."""

    code = "encoder_not_calibrated"


class MemberUnusable(PalimpsestError):
    """A member of a set that was deleted or replaced since the set was put together."""

    code = "member_unusable"


class EncoderInUse(PalimpsestError):
    """A composite lists the encoder, which can be deleted by force only."""

    code = "encoder_in_use"


class EncoderJudged(PalimpsestError):
    """The encoder was judged before. An encoder is judged once."""

    code = "encoder_judged"


class EncoderFailedAudit(PalimpsestError):
    """An encoder whose audit failed, on a server that does not use such encoders."""

    code = "encoder_failed_audit"


class EncoderExists(PalimpsestError):
    """The id is taken. Published encoders are immutable: choose another id."""

    code = "encoder_exists"


class EncoderInvalid(PalimpsestError):
    """Overrides, a card or a file that must not be used: wrong base, shape, name or digest."""

    code = "encoder_invalid"


class EncoderDamaged(EncoderInvalid):
    """An encoder whose card cannot be read. It cannot be used, and can be deleted."""

    code = "encoder_damaged"

    @classmethod
    def of(cls, encoder_id: str, reason: str) -> Self:
        """Return the error for an encoder, with the reason as half a sentence."""
        return cls(
            f"Encoder {encoder_id!r} is damaged: its card cannot be read, since {reason}. Delete "
            "it; then its id can be used again.",
            param="encoder",
        )


class EncoderNewer(EncoderDamaged):
    """An encoder whose card a newer version wrote. Servers of that version use it."""

    code = "encoder_newer"

    @classmethod
    def of(cls, encoder_id: str, reason: str) -> Self:
        """Return the error for an encoder, with what is newer as half a sentence."""
        return cls(
            f"Encoder {encoder_id!r} was published by a newer version of Palimpsest ({reason}), "
            "and this server cannot use it: ask one of that version, or install it here.",
            param="encoder",
        )


class AliasNotFound(PalimpsestError):
    """Error: no alias has that name."""

    code = "alias_not_found"


class AliasExists(PalimpsestError):
    """The name belongs to an alias, so that no encoder can be published under it."""

    code = "alias_exists"


class ReportNotFound(PalimpsestError):
    """The encoder has no report file of that name."""

    code = "report_not_found"
