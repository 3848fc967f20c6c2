"""Manifest of a backup: everything in it, with digests. It is the last file that is written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt

MANIFEST, FILES = "manifest.json", "files.jsonl"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableEntry(_Entry):
    """A table: its rows are in `rows/<name>.jsonl`."""

    rows: NonNegativeInt
    sha256: str
    last_number: NonNegativeInt | None
    """Last number that the table gave a row, even if it was deleted; None: it gives none."""


class FileEntry(_Entry):
    """A file, a line of `files.jsonl`; its content is in `files/<path>`."""

    path: str
    bytes: NonNegativeInt
    sha256: str


class FileList(_Entry):
    """The file `files.jsonl`."""

    count: NonNegativeInt
    sha256: str


class Manifest(_Entry):
    """The file `manifest.json`."""

    format: Literal["palimpsest-backup"] = "palimpsest-backup"
    format_version: Literal[1] = 1
    version: str
    """Version of Palimpsest that wrote it."""
    revision: str
    """Revision of the tables."""
    created_at: NonNegativeInt
    """Unix seconds."""
    tables: dict[str, TableEntry]
    files: FileList


def rows_file(table: str) -> str:
    """Return the name of the file with a table's rows."""
    return f"rows/{table}.jsonl"


def content_file(path: str) -> str:
    """Return the name of the file with the content of a server's file."""
    return f"files/{path}"
