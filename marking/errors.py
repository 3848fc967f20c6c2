"""Errors of signing and of checking signatures."""

from __future__ import annotations

from encoders.errors import PalimpsestError


class SigningKeyInvalid(PalimpsestError, ValueError):
    """A private key or a certificate that nothing can be signed with."""

    code = "signing_key_invalid"


class SigningFailed(PalimpsestError):
    """A file that could not be signed just now."""

    code = "signing_failed"


class KeyUnavailable(SigningFailed):
    """A key that cannot sign just now. The log says why: the reason is the operator's to read."""

    def __init__(
        self, message: str = "The key could not sign just now: the server's log says why."
    ) -> None:
        super().__init__(message)


class NotMarked(PalimpsestError, ValueError):
    """A file without a signed statement."""

    code = "not_marked"


class MarkInvalid(PalimpsestError, ValueError):
    """A signed statement that does not hold: it was changed, or what it is about was."""

    code = "mark_invalid"
