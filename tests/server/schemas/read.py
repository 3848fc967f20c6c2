"""Data directories as earlier versions left them; README.md says how they were made."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

_FOLDER = Path(__file__).parent
SCHEMAS = sorted(path.name for path in _FOLDER.iterdir() if (path / "records.sql").is_file())
"""Names of the fixtures, the oldest first: a number and the commit that made it."""


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
