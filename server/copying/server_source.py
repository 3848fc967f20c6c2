"""A server as the source of a copy. It may run, unless its data directory is locked here."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from server.copying.copied_files import CopiedFiles
from server.copying.errors import CopyRefused
from server.copying.sequences import last_number
from server.copying.source import Source, SourceRows
from server.copying.table_rows import COPIED, read_lines
from server.settings import Settings
from server.storage.backends import has_database, open_database
from server.storage.database import Database
from server.storage.database_id import database_id
from server.storage.lock import DataLock
from server.storage.open_file_store import open_file_store


class ServerSource(Source):
    """The database and the store of one server.

    Args:
        settings: Name them.
        database: The database, opened.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._store = open_file_store(settings)
        self.name = database.name
        self.identity = database_id(database)

    @contextmanager
    def rows(self) -> Generator[SourceRows]:
        with self._database.explained(), self._database.reading() as session:
            yield _ServerRows(session)

    def files(self, attempts: Mapping[str, int]) -> CopiedFiles:
        return CopiedFiles(self._store, attempts)


class _ServerRows(SourceRows):
    """Rows of one transaction, which sees one state."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lines(self, table: str) -> Iterator[bytes]:
        return read_lines(self._session, table)

    def last_number(self, table: str) -> int | None:
        return last_number(self._session, COPIED[table])


@contextmanager
def opened_server(settings: Settings) -> Generator[ServerSource]:
    """Yield the server of some settings, which may be running.

    Raises:
        CopyRefused: There is none.
        DatabaseUnusable: Its database is another version's, or damaged.
        StorageAway: It cannot be reached just now.
    """
    if not has_database(settings):
        address = settings.postgres
        place = settings.data_dir if address is None else f"PostgreSQL at {address.name}"
        raise CopyRefused(f"{place} has no database of a server.")
    database = open_database(settings, may_upgrade=False)
    try:
        yield ServerSource(settings, database)
    finally:
        database.close()


@contextmanager
def stopped_server(data_dir: Path) -> Generator[ServerSource]:
    """Yield the server of a data directory, and keep it from starting meanwhile.

    Raises:
        DataInUse: It runs.
        CopyRefused: There is none; or its files are not in the directory.
        DatabaseUnusable, StorageAway: As `opened_server`.
    """
    settings = Settings.model_validate({"data_dir": data_dir, "database": "", "store": ""})
    if not settings.records_file.is_file():
        raise CopyRefused(f"{data_dir} has no records.sqlite: name the data directory of a server.")
    lock = DataLock(data_dir)
    lock.take()
    try:
        with opened_server(settings) as source:
            if not open_file_store(settings).is_there():
                raise CopyRefused(
                    f"{data_dir} has no folders of files, or they are away: mount them. If the "
                    "files are in a bucket, use `palimpsest admin backup` and `restore`."
                )
            yield source
    finally:
        lock.release()
