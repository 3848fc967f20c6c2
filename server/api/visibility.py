"""Visibility of encoders: one place decides what a caller may see, for every route and error.

An error is cleaned by what it is about, whatever its text: a caller that is bound to encoders gets
it as it is only if every encoder in it is one that the caller may use, or has named.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

from encoders import PalimpsestError
from encoders import errors as encoder_errors
from encoders.card import MARGINS, public
from encoders.errors import MemberUnusable
from server.api.job_answers import job_error
from server.api.response_models import EncoderObject, JobError
from server.auth.access import may_use_base, usable_names
from server.auth.keys import Caller
from server.storage.records import EncoderRecord, VideoRecord
from unlearn.methods.registry import method_names

if TYPE_CHECKING:
    from server.runtime import Runtime
    from server.storage.alias_table import AliasTable

_ABOUT_ENCODERS = frozenset(
    kind.code
    for kind in vars(encoder_errors).values()
    if isinstance(kind, type) and issubclass(kind, PalimpsestError)
)
"""Codes of errors about encoders: their messages quote ids and methods, but no concepts."""
_QUOTED = re.compile(r"'([a-z0-9][a-z0-9._+-]*)'")
"""A quoted id, or several joined by "+"."""


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
        return self.sees_all or encoder_id in self._usable

    @cached_property
    def _usable(self) -> set[str]:
        return usable_names(self._caller, self._aliases)

    def encoder(self, encoder: EncoderObject) -> EncoderObject:
        """Return the encoder as the caller sees it: no other encoder's id is in it.

        The caller may use the encoder itself. A key that is bound to encoders does not learn where
        their triggers open: it could stay below.
        """
        if self._caller.role != "admin":
            encoder = encoder.model_copy(update={"claim": None})
        if self.sees_all:
            return encoder
        members = [member.id for member in encoder.members]
        changes = {
            "trigger": None,
            "training": encoder.training
            and encoder.training.model_copy(update={} if self.sees_base else {"previews": []}),
            "audit": encoder.audit and encoder.audit.state_only(),
            "measures": {k: v for k, v in encoder.measures.items() if k != MARGINS},
            "concepts": [concept.without_open_ways() for concept in encoder.concepts],
            "members": [member for member in encoder.members if self.sees(member.id)],
            "settings": public(encoder.settings),
            "error": self._error(encoder.error, [encoder.id], encoder.parent, members),
        }
        if encoder.parent is not None and not self.sees(encoder.parent):
            changes["parent"] = None
        return encoder.model_copy(update=changes)

    def encoder_error(self, record: EncoderRecord) -> JobError | None:
        """Return the reason why an encoder could not be made, as the caller may read it."""
        members = [member.id for member in record.composes]
        return self._error(job_error(record), [record.id], record.parent, members)

    def video_error(self, record: VideoRecord) -> JobError | None:
        """Return the reason why a video could not be made, as the caller may read it."""
        ref = record.encoder_ref
        return self._error(job_error(record), [] if ref is None else ref.id.split("+"))

    def refusal(self, error: PalimpsestError, names: Collection[str]) -> PalimpsestError:
        """Return the error of a request that names encoders, as the caller may read it."""
        code = getattr(error, "reported_code", error.code)
        told = self._error(JobError(code=code, message=str(error)), names)
        if told is None or told.message == str(error):
            return error
        return MemberUnusable(told.message, param=error.param)

    def _error(
        self,
        error: JobError | None,
        names: Collection[str],
        parent: str | None = None,
        members: Collection[str] = (),
    ) -> JobError | None:
        """Return an error as the caller may read it.

        Args:
            error: the error; None if there is none.
            names: the encoders that it may name, since the caller named them or uses them.
            parent: the encoder that this one was to be trained from, if the error is of its job.
            members: the encoders of a composite, if the error is of its job.
        """
        if error is None or self.sees_all:
            return error
        found = {name for name in (parent, *members) if name and _names(error.message, name)}
        if error.code in _ABOUT_ENCODERS:
            quoted = _QUOTED.findall(error.message)
            found |= {name for each in quoted for name in each.split("+")} - {"", *method_names()}
        hidden = {name for name in found if name not in names and not self.sees(name)}
        if hidden and not hidden <= set(self._aliases.targets(names).values()):
            return self._without_names(error, names, is_trained=parent is not None)
        return error

    @staticmethod
    def _without_names(error: JobError, names: Collection[str], *, is_trained: bool) -> JobError:
        if is_trained:
            message = "The encoder that it was to be trained from cannot be used."
            return error.model_copy(update={"message": message})
        named = "+".join(names)[:80]
        return JobError(
            code=MemberUnusable.code,
            message=f"A member of the set {named!r} cannot be used: ask the operator.",
        )


def _names(message: str, encoder_id: str) -> bool:
    """Return True if the id stands in the message, quoted or not, and not as part of another."""
    pattern = rf"(?<![a-z0-9._-]){re.escape(encoder_id)}(?![a-z0-9_-]|\.[a-z0-9])"
    return re.search(pattern, message) is not None


def visibility_of(runtime: Runtime, caller: Caller) -> Visibility:
    """Return what the caller may see of the server's encoders."""
    return Visibility(caller, runtime.aliases, full=runtime.settings.full_reports)
