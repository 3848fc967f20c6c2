"""Mark of a store that is being filled with a copy of a server: nobody else may use it yet.

A server that started on it would sweep the files, since no row says yet what they are.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Self

_CONTENT = re.compile(rb"copy ([0-9a-f]{32}) of (\S{1,200})\n")
MOST_BYTES = 1000


@dataclass(frozen=True)
class UnfinishedCopy:
    """A copy that was begun, as its mark in the new store says."""

    source: str
    """Name of what is copied, the same in each try (`server.copying.source`)."""
    database_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Id that the new database is to get."""

    @classmethod
    def parsed(cls, content: bytes | None) -> Self | None:
        """Return what a mark says; None if the content is no mark."""
        found = _CONTENT.fullmatch(content or b"")
        return cls(found[2].decode(), found[1].decode()) if found else None

    def content(self) -> bytes:
        """Return the content of the mark."""
        return f"copy {self.database_id} of {self.source}\n".encode()


def refusal(place: str) -> str:
    """Return the sentence for whoever wants to use a store that is being filled."""
    return (
        f"{place} is being filled by `palimpsest admin migrate` or `restore`, which has not ended: "
        "run the same command again, or use another place."
    )
