"""The release after this one, made of this one's code: all that a release may change has changed.

It has a revision of the database with a new column, a new table and a new index; a card with a new
field, and so a new schema version; and a new version of jobs, which is DBOS's
`application_version`. A server of this release, which cannot be changed any more once it is out,
has to live beside it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from encoders.card import SCHEMA_VERSION
from encoders.version import VERSION
from server.storage.job_version import JOB_VERSION
from server.storage.upgrade import revisions
from tests.server.help import ROOT

NEXT_VERSION = "99.0.0"
NEXT_REVISION = f"{int(revisions()[-1]) + 1:04}"
NEXT_JOB_VERSION = JOB_VERSION + 1
_REVISION = f'''"""Revision {NEXT_REVISION}: what a later release may want."""

from alembic import op
from sqlalchemy import Column

from server.storage.column_types import INTEGER, TEXT

revision = "{NEXT_REVISION}"
down_revision = "{revisions()[-1]}"


def upgrade() -> None:
    op.create_table("colours", Column("id", TEXT, primary_key=True))
    for table in ("videos", "encoder_jobs", "replicas", "keys"):
        op.add_column(table, Column("colour", TEXT, nullable=True))
        op.add_column(table, Column("shades", INTEGER, nullable=False, server_default="1"))
    op.create_index("ix_videos_colour", "videos", ["owner", "colour"])
'''
_COLUMNS = """
    colour: Mapped[str | None] = mapped_column(default="red")
    shades: Mapped[int] = mapped_column(default=2, server_default="1")
"""
_COPIED = ("server", "encoders")
_LINKED = ("unlearn", "video", "marking", "starter", "benchmarks", "tests", "cli")


def make(folder: Path) -> Path:
    """Write the code of the next release into a new folder, and return it."""
    folder.mkdir()
    for name in _COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in _LINKED:
        (folder / name).symlink_to(ROOT / name)
    storage = folder / "server" / "storage"
    revision = storage / "migrations" / "versions" / f"v{NEXT_REVISION}_colours.py"
    revision.write_text(_REVISION)
    for name, before in (
        ("records.py", "    interruptions: Mapped[int]"),
        ("replica_rows.py", "    host: Mapped[str]"),
        ("key_rows.py", "    role: Mapped[str]"),
    ):
        _change(storage / name, before, f"{_COLUMNS}{before}")
    _change(
        storage / "job_version.py",
        f"JOB_VERSION = {JOB_VERSION}",
        f"JOB_VERSION = {NEXT_JOB_VERSION}",
    )
    card, later = folder / "encoders" / "card.py", SCHEMA_VERSION + 1
    _change(card, f"SCHEMA_VERSION = {SCHEMA_VERSION}", f"SCHEMA_VERSION = {later}")
    _change(card, f"{SCHEMA_VERSION}] = SCHEMA", f"{SCHEMA_VERSION}, {later}] = SCHEMA")
    _change(card, "    seed: int\n", '    seed: int\n    colour: str = "red"\n')
    _change(folder / "encoders" / "version.py", VERSION, NEXT_VERSION)
    return folder


def _change(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert len(re.findall(re.escape(old), content)) == 1, (path, old)
    path.write_text(content.replace(old, new))
