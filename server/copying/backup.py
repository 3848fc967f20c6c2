"""A backup as the source of a copy. All of it is checked before anything is taken from it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import IO

from pydantic import ValidationError

from server.copying.copied_files import is_copied
from server.copying.errors import BackupDamaged, CopyRefused
from server.copying.manifest import FILES, MANIFEST, FileEntry, Manifest, content_file, rows_file
from server.copying.source import Source, SourceRows
from server.copying.table_rows import COPIED
from server.storage.upgrade import revisions

_PIECE_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 1 << 20


class Backup(Source):
    """A backup, open for reading. Only plain files in it are read, by the names in its lists.

    Args:
        tar: The file.
        path: Its path.
    """

    def __init__(self, tar: tarfile.TarFile, path: Path) -> None:
        self._tar = tar
        self._lock = Lock()  # threads share the file's position
        self.name = str(path)
        try:
            members = tar.getmembers()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise BackupDamaged(f"{path} is damaged or no backup: {error}.") from error
        self._members = {member.name: member for member in members if member.isreg()}
        said = self._content(MANIFEST, _MOST_MANIFEST_BYTES)
        self.identity = sha256(said).hexdigest()
        try:
            self.manifest = Manifest.model_validate_json(said)
        except ValidationError as error:
            raise self._damaged(MANIFEST, "it is no manifest of this version's backups") from error

    @contextmanager
    def rows(self) -> Generator[SourceRows]:
        yield _BackupRows(self.manifest, self._pieces)

    def files(self, attempts: Mapping[str, int]) -> BackupFiles:
        return BackupFiles(self._listed(), self._content)

    def check(self, tell: Callable[[int, int], None]) -> None:
        """Read all of the backup, and compare it with its digests.

        Args:
            tell: Is called with the bytes that were read, and all bytes.

        Raises:
            BackupDamaged: A file in it is not what was written; the message names it.
            CopyRefused: It has the tables of another version.
        """
        manifest = self.manifest
        if manifest.revision != revisions()[-1] or manifest.tables.keys() != COPIED.keys():
            raise CopyRefused(
                f"{self.name} was written by Palimpsest {manifest.version}, whose tables are not "
                "this version's: restore it with that version, start its server once, and upgrade "
                "then."
            )
        wanted = {rows_file(name): entry.sha256 for name, entry in manifest.tables.items()}
        wanted[FILES] = manifest.files.sha256
        self._compare(wanted, lambda _: None)
        contents = {content_file(entry.path): entry for entry in self._listed()}
        for name, entry in contents.items():
            if not is_copied(entry.path):
                raise self._damaged(FILES, f"it lists {entry.path[:200]!r}, which no server has")
            if name in self._members and self._members[name].size != entry.bytes:
                raise self._damaged(name, f"it is not {entry.bytes} bytes long")
        total, read = sum(entry.bytes for entry in contents.values()), 0

        def count(size: int) -> None:
            nonlocal read
            read += size
            tell(read, total)

        self._compare({name: entry.sha256 for name, entry in contents.items()}, count)

    def _compare(self, wanted: Mapping[str, str], count: Callable[[int], None]) -> None:
        for name, digest in wanted.items():
            found = sha256()
            for piece in self._pieces(name):
                found.update(piece)
                count(len(piece))
            if found.hexdigest() != digest:
                raise self._damaged(name, "its content is not what was written")

    def _listed(self) -> list[FileEntry]:
        try:
            lines = self._content(FILES).splitlines()
            return [FileEntry.model_validate_json(line) for line in lines]
        except ValidationError as error:
            raise self._damaged(FILES, "a line of it is no entry") from error

    def _pieces(self, name: str) -> Iterator[bytes]:
        with self._lock, self._opened(name) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def _content(self, name: str, most: int | None = None) -> bytes:
        if most is not None and name in self._members and self._members[name].size > most:
            raise self._damaged(name, "it is too large")
        return b"".join(self._pieces(name))

    @contextmanager
    def _opened(self, name: str) -> Generator[IO[bytes]]:
        member = self._members.get(name)
        if member is None:
            raise self._damaged(name, "it is missing: the backup was cut off, or changed")
        try:
            file = self._tar.extractfile(member)
            assert file is not None  # it is a plain file
            with file:
                yield file
        except (tarfile.TarError, EOFError) as error:
            raise self._damaged(name, str(error)) from error

    def _damaged(self, name: str, fault: str) -> BackupDamaged:
        return BackupDamaged(f"{self.name} is damaged at {name}: {fault}. Nothing was restored.")


class _BackupRows(SourceRows):
    def __init__(self, manifest: Manifest, pieces: Callable[[str], Iterator[bytes]]) -> None:
        self._manifest = manifest
        self._pieces = pieces

    def lines(self, table: str) -> Iterator[bytes]:
        rest = b""
        for piece in self._pieces(rows_file(table)):
            *whole, rest = (rest + piece).splitlines(keepends=True) or [b""]
            if rest.endswith(b"\n"):
                whole, rest = [*whole, rest], b""
            yield from whole
        if rest:
            yield rest

    def last_number(self, table: str) -> int | None:
        return self._manifest.tables[table].last_number


class BackupFiles:
    """The files of a backup."""

    def __init__(self, listed: list[FileEntry], content: Callable[[str], bytes]) -> None:
        self._listed = listed
        self._content = content

    def sizes(self) -> dict[str, int]:
        """Return path and bytes of each file, in the order in which they were written."""
        return {entry.path: entry.bytes for entry in self._listed}

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        return self._content(content_file(path))


@contextmanager
def opened_backup(path: Path) -> Generator[Backup]:
    """Yield a backup.

    Raises:
        BackupDamaged: It is damaged, or no backup.
        OSError: It cannot be read.
    """
    with ExitStack() as held:
        try:
            tar = held.enter_context(tarfile.open(path, "r:"))
        except tarfile.TarError as error:
            raise BackupDamaged(f"{path} is damaged or no backup: {error}.") from error
        yield Backup(tar, path)
