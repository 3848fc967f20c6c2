"""Visibility of encoders: one place decides what a caller may see, for every route and error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders.card import MARGINS, public
from server.api.response_models import EncoderObject, JobError
from server.auth.access import may_use, may_use_base
from server.auth.keys import Caller

if TYPE_CHECKING:
    from server.runtime import Runtime
    from server.storage.alias_table import AliasTable

_OF_THE_PARENT = frozenset({"encoder_not_found", "encoder_damaged"})
"""Codes of a failed job that are always about the encoder that it was to be trained from."""


class Visibility:
    """The part that one caller may see: ids of the encoders that its key may use, and no other.

    Args:
        caller: the sender of the request.
        aliases: the names that stand for encoders.
        full: True to show everybody everything (`PALIMPSEST_FULL_REPORTS`).
    """

    def __init__(self, caller: Caller, aliases: AliasTable, *, full: bool) -> None:
        self._caller = caller
        self._aliases = aliases
        self.sees_all = full or caller.encoders is None
        """True if nothing is hidden from the caller."""

    @property
    def sees_base(self) -> bool:
        """True if the caller may see what the base draws."""
        return self.sees_all or may_use_base(self._caller)

    def sees(self, encoder_id: str) -> bool:
        """Return True if the caller may learn the id of this encoder."""
        return self.sees_all or may_use(self._caller, encoder_id, self._aliases)

    def encoder(self, encoder: EncoderObject) -> EncoderObject:
        """Return the encoder as the caller sees it: no other encoder's id is in it.

        The caller may use the encoder itself. A key that is bound to encoders does not learn where
        their triggers open: it could stay below.
        """
        if not self.sees_all:
            changes = {
                "trigger": None,
                "measures": {k: v for k, v in encoder.measures.items() if k != MARGINS},
                "members": [member for member in encoder.members if self.sees(member.id)],
                "settings": public(encoder.settings),
            }
            encoder = encoder.model_copy(update=changes)
        parent = encoder.parent
        if parent is None or self.sees(parent):
            return encoder
        return encoder.model_copy(
            update={"parent": None, "error": self.error(encoder.error, parent)}
        )

    def error(self, error: JobError | None, parent: str | None) -> JobError | None:
        """Return the reason why an encoder could not be made, as the caller may read it.

        Args:
            error: the reason; None for a job that has not failed.
            parent: the encoder that it was to be trained from; None for the base.
        """
        if error is None or parent is None or self.sees(parent):
            return error
        if parent not in error.message and error.code not in _OF_THE_PARENT:
            return error
        message = "The encoder that it was to be trained from cannot be used."
        return error.model_copy(update={"message": message})


def visibility_of(runtime: Runtime, caller: Caller) -> Visibility:
    """Return what the caller may see of the server's encoders."""
    return Visibility(caller, runtime.aliases, full=runtime.settings.full_reports)
