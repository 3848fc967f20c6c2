"""Check of `jobs.sqlite`, the database of DBOS, before DBOS opens it."""

from __future__ import annotations

from pathlib import Path

from dbos import _migration

from server.storage.sqlite_file import DatabaseUnusable, SqliteFile, lacking

_REMEDY = (
    "stop the server and move this file away with its -wal and -shm files; the next start makes "
    "the pending jobs from records.sqlite"
)
_VERSION_TABLE = "dbos_migrations"
_WANTED = {
    "workflow_status": ("workflow_uuid", "status", "queue_name"),
    "operation_outputs": ("workflow_uuid", "function_id"),
}


def jobs_file(path: Path) -> SqliteFile:
    """Return DBOS's file, with the remedy if it is damaged: it can be made again."""
    return SqliteFile(path, remedy=_REMEDY)


def check_jobs(file: SqliteFile) -> None:
    """Check that DBOS can use the file. One that is absent or empty is made by DBOS.

    Raises:
        DatabaseUnusable: It is damaged, another program's, a newer version's, or not to be opened.
        StorageAway: It cannot be used just now.
    """
    tables = file.tables()
    if not tables:
        return
    if _VERSION_TABLE not in tables:
        raise file.unusable("is not a database of DBOS")
    version = file.value(f"SELECT version FROM {_VERSION_TABLE}")
    if not isinstance(version, int):
        raise file.unusable(f"is damaged (version {version!r})")
    known = len(_migration.sqlite_migrations)
    if version > known:
        raise DatabaseUnusable(
            f"{file.path} was written by a newer version of DBOS ({version}, this one knows "
            f"{known}): install that version or a later one, or {_REMEDY}."
        )
    if version > 0 and (missing := lacking(tables, dict(_WANTED))) is not None:
        raise file.unusable(f"is damaged ({missing} is missing)")
