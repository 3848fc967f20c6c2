"""Data directories as earlier versions left them; tests/server/schemas/README.md has how."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.serving.servers import ROOT

_FOLDER = ROOT / "tests" / "server" / "schemas"
SCHEMAS = sorted(path.name for path in _FOLDER.iterdir() if (path / "records.sql").is_file())
"""Names of the fixtures, the oldest first: a number and the commit that made it."""

VIDEO: Mapping[str, Any] = {"prompt": "pogo at the beach", "steps": 2, "frames": 4, "seed": 7}
"""Body of the requests that had an Idempotency-Key, for a video."""
ENCODER: Mapping[str, Any] = {
    "concept": "blip",
    "kind": "character",
    "id": "no-blip",
    "settings": {"steps": 2},
}
"""Body of the request for the encoder that was pending."""


def restore(schema: str, data: Path) -> Path:
    """Make a data directory from a fixture, and return it."""
    source = _FOLDER / schema
    for name in ("records", "jobs"):
        with closing(sqlite3.connect(data / f"{name}.sqlite")) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript((source / f"{name}.sql").read_text())
    if (source / "files").is_dir():
        shutil.copytree(source / "files", data, dirs_exist_ok=True)
    return data


def rows(data: Path, table: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table of the records, by id."""
    with closing(sqlite3.connect(data / "records.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in connection.execute(f"SELECT * FROM {table}")}
