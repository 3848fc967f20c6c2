"""Check of `records.sqlite` before it is used."""

from __future__ import annotations

from dataclasses import dataclass

from server.storage.sqlite_file import SqliteFile
from server.storage.storage_errors import DatabaseUnusable
from server.storage.upgrade import VERSION_TABLE, State, state_of


def check_records(file: SqliteFile, *, has_jobs: bool, in_use: bool = False) -> State:
    """Check that the file is a database that this version can use, or upgrade.

    Args:
        file: The database.
        has_jobs: True if DBOS's database beside it holds something.
        in_use: See `SqliteFile.tables`.

    Raises:
        DatabaseUnusable: It is damaged, another program's, a newer version's, or lost its content.
        StorageAway: It cannot be used just now.
    """
    state = state_of(_Content(file), file.tables(in_use=in_use))
    if state == "new" and has_jobs:
        raise file.unusable("is absent or empty, although jobs.sqlite beside it is not")
    return state


@dataclass(frozen=True)
class _Content:
    file: SqliteFile

    @property
    def name(self) -> str:
        return str(self.file.path)

    def revision(self) -> object:
        return self.file.value(f"SELECT version_num FROM {VERSION_TABLE}")

    def unusable(self, fault: str) -> DatabaseUnusable:
        return self.file.unusable(fault)
