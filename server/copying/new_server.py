"""The place of a new server, which is filled with a copy: files first, then all rows at once.

Until the rows are committed the database has none, and until the mark is taken from the store no
server starts on it. So a copy that is killed at any moment leaves either nothing that a server
would use, or all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.copying.copied_files import CopiedFiles
from server.copying.errors import CopyRefused
from server.copying.sequences import set_last_number
from server.copying.source import Source, SourceRows
from server.copying.table_rows import COPIED, LinesDigest, is_empty, read_lines, write_lines
from server.settings import Settings
from server.storage import database_id
from server.storage.backends import has_database, open_database, open_jobs_database
from server.storage.database import Database
from server.storage.file_store import FileStore
from server.storage.open_file_store import open_file_store
from server.storage.secret_rows import SecretRow
from server.storage.unfinished_copy import UnfinishedCopy

Tell = Callable[[str, int, int], None]
"""Is called with a phase in words, what is done of it, and how much there is."""


class NewServer:
    """A database without rows, and a store without files, but for those of this copy.

    Args:
        database: The database.
        store: The store, in which the copy was begun.
        copy: The copy.
    """

    def __init__(self, database: Database, store: FileStore, copy: UnfinishedCopy) -> None:
        self._database = database
        self._store = store
        self._copy = copy

    def files(self, attempts: Mapping[str, int]) -> CopiedFiles:
        """Return the files, to be written."""
        return CopiedFiles(self._store, attempts)

    def finish(self, source: SourceRows, tell: Tell) -> dict[str, int]:
        """Write all rows, compare them with the source's, and give the place to servers.

        Returns:
            The number of rows of each table.

        Raises:
            CopyRefused: The rows that were written are not those of the source.
        """
        wanted: dict[str, LinesDigest] = {name: LinesDigest() for name in COPIED}
        with self._database.explained(), self._database.writing() as session:
            row = session.get(SecretRow, database_id.NAME)
            is_done = row is not None and row.value == self._copy.database_id
            if not is_done and not is_empty(session):
                raise _not_empty(self._database)
            for number, (name, digest) in enumerate(wanted.items()):
                tell(f"rows of {name}", number, len(wanted))
                lines = digest.through(source.lines(name))
                if is_done:  # an earlier try was killed once they were committed
                    for _ in lines:
                        pass
                else:
                    write_lines(session, name, lines)
                    set_last_number(session, COPIED[name], source.last_number(name) or 0)
            if not is_done:
                session.add(SecretRow(name=database_id.NAME, value=self._copy.database_id))
                session.flush()
            for name, digest in wanted.items():
                self._compare(session, name, digest)
        self._store.end_copy(self._copy)
        return {name: digest.rows for name, digest in wanted.items()}

    def _compare(self, session: Session, name: str, wanted: LinesDigest) -> None:
        found = LinesDigest()
        for _ in found.through(read_lines(session, name)):
            pass
        if (found.rows, found.sha256) != (wanted.rows, wanted.sha256):
            raise CopyRefused(
                f"The table {name!r} in {self._database.name} is not the source's: it has "
                f"{found.rows} rows, and the source {wanted.rows}."
            )


@contextmanager
def begun(settings: Settings, source: Source) -> Generator[NewServer]:
    """Yield the place that the settings name, empty or with what an earlier try has copied.

    Raises:
        CopyRefused, ForeignDirectory, StoreUnfit: The place has something already.
        DatabaseUnusable: The database is another program's, or its user lacks a right.
        StorageAway: Something is away just now.
    """
    store = open_file_store(settings)
    copy = store.unfinished_copy()
    if copy is not None and copy.source != source.identity:
        raise CopyRefused(
            f"{settings.store or settings.data_dir} is being filled with another server's data: "
            "go on with that, or name another place."
        )
    if settings.postgres is not None:
        jobs = open_jobs_database(settings)
        try:
            jobs.check()
        finally:
            jobs.close()
    with ExitStack() as held:
        database: Database | None = None
        if has_database(settings):  # or a new directory would not be empty any more
            database = _opened(settings, held)
            _check_rows(database, copy)
        copy = store.begin_copy(copy or UnfinishedCopy(source.identity))
        yield NewServer(database or _opened(settings, held), store, copy)


def _opened(settings: Settings, held: ExitStack) -> Database:
    database = open_database(settings, may_upgrade=False)
    held.callback(database.close)
    return database


def _check_rows(database: Database, copy: UnfinishedCopy | None) -> None:
    with database.explained(), database.reading() as session:
        query = select(SecretRow.value).where(SecretRow.name == database_id.NAME)
        is_copys = copy is not None and session.scalar(query) == copy.database_id
        if not is_copys and not is_empty(session):
            raise _not_empty(database)


def _not_empty(database: Database) -> CopyRefused:
    return CopyRefused(f"{database.name} has rows already: name a new, empty database.")
