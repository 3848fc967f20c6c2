"""Source of a copy: a server, or a backup of one."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from server.storage.records import COMPLETED, VideoRecord


class SourceRows(ABC):
    """All rows of one state of a database."""

    @abstractmethod
    def lines(self, table: str) -> Iterator[bytes]:
        """Yield the rows of a table, as `server.copying.table_rows.read_lines` does."""

    @abstractmethod
    def last_number(self, table: str) -> int | None:
        """Return the last number that the table gave a row (`server.copying.sequences`)."""

    def attempts(self) -> dict[str, int]:
        """Return the id of each completed video, and the attempt that made it."""
        rows = map(json.loads, self.lines(VideoRecord.__tablename__))
        return {row["id"]: row["attempt"] for row in rows if row["status"] == COMPLETED}


class SourceFiles(Protocol):
    """Files to be read, under the paths of `server.copying.copied_files`."""

    def sizes(self) -> dict[str, int]:
        """Return path and bytes of each file, in the order in which they are to be copied."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if it was removed since. Any thread may call it."""
        ...


class Source(ABC):
    """A server's rows and files, to be read."""

    name: str
    """Name for an operator."""
    identity: str
    """Text without spaces that no other source has: by it a copy that was cut off is known."""

    @abstractmethod
    def rows(self) -> AbstractContextManager[SourceRows]:
        """Yield the rows. Those of a running server can be others at each call."""

    @abstractmethod
    def files(self, attempts: Mapping[str, int]) -> SourceFiles:
        """Return the files.

        Args:
            attempts: Of the rows that they belong to.
        """
