"""Copies: from a server or a backup to a new server, and from a server to a backup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from server.copying.backup_writer import written
from server.copying.copied_files import CopiedFiles
from server.copying.errors import CopyRefused
from server.copying.new_server import Tell, begun
from server.copying.source import Source, SourceFiles
from server.copying.table_rows import COPIED
from server.settings import Settings

_AT_ONCE = 8
"""Files that are copied at the same time: most of the time is a bucket's answers."""


@dataclass(frozen=True)
class Copied:
    """Everything that a copy has, whichever try has copied it."""

    rows: dict[str, int]
    """Number of rows of each table."""
    files: int
    bytes: int
    left_out: list[str]
    """Paths at which the source has no files, but links or the like; or had some, which were
    deleted while it was copied."""


def fill(source: Source, settings: Settings, tell: Tell) -> Copied:
    """Copy a source that does not change to the place that the settings name.

    Each file is read back, and so is each row; both are compared with the source by SHA-256. A copy
    that was cut off, by a kill too, goes on when this is called again for the same source and
    place.

    Args:
        source: A stopped server, or a backup.
        settings: Name the new server's data directory, database and store.
        tell: Is told how far it is.

    Raises:
        CopyRefused, ForeignDirectory, StoreUnfit: The place has something else already; or what was
            written is not what can be read there.
        StorageAway, OSError: Something is away just now. Call it again later.
    """
    with begun(settings, source) as new:
        with source.rows() as rows:
            attempts = rows.attempts()
        files, target = source.files(attempts), new.files(attempts)
        sizes = files.sizes()
        there = target.sizes()
        target.remove(there.keys() - sizes.keys())  # of an earlier try, and deleted since
        total, done = sum(sizes.values()), 0
        copier = _FileCopier(files, target, there.keys())
        left_out: list[str] = []
        for number, (path, is_copied) in enumerate(copier.copied(sizes), 1):
            done += sizes[path]
            if not is_copied:
                left_out.append(path)
            tell(f"file {number} of {len(sizes)}", done, total)
        with source.rows() as rows:
            counted = new.finish(rows, tell)
    total -= sum(sizes[path] for path in left_out)
    return Copied(counted, len(sizes) - len(left_out), total, left_out)


def back_up(source: Source, path: Path, tell: Tell) -> Copied:
    """Copy a server, which may be running, to a backup.

    The rows are of one moment. The files are read after it, so each row has its files, unless they
    were deleted since.

    Args:
        source: The server.
        path: The new file.
        tell: Is told how far it is.

    Raises:
        CopyRefused: There is a file of that name.
        StorageAway, OSError: Something cannot be read or written just now.
    """
    with written(path) as backup:
        counted: dict[str, int] = {}
        with source.rows() as rows:
            attempts = rows.attempts()
            for number, name in enumerate(COPIED):
                tell(f"rows of {name}", number, len(COPIED))
                counted[name] = backup.add_table(name, rows)
        files = source.files(attempts)
        sizes = files.sizes()
        total, done = sum(sizes.values()), 0
        left_out: list[str] = []
        for number, (name, size) in enumerate(sizes.items(), 1):
            content = files.read(name)
            if content is None:
                left_out.append(name)
            else:
                backup.add_file(name, content)
            done += size
            tell(f"file {number} of {len(sizes)}", done, total)
        backup.finish()
    total -= sum(sizes[name] for name in left_out)
    return Copied(counted, len(sizes) - len(left_out), total, left_out)


class _FileCopier:
    """Copying of files, several at a time, each compared with its source."""

    def __init__(self, source: SourceFiles, target: CopiedFiles, there: Iterable[str]) -> None:
        self._source = source
        self._target = target
        self._there = set(there)

    def copied(self, paths: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Copy files; yield the path of each, and True, or False if there is no file."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                yield from pool.map(self._copy, paths)
            finally:
                pool.shutdown(cancel_futures=True)

    def _copy(self, path: str) -> tuple[str, bool]:
        content = self._source.read(path)
        if content is None:
            return path, False
        wanted = sha256(content).digest()
        if path not in self._there or self._digest(path) != wanted:
            self._target.write(path, content)
            if self._digest(path) != wanted:
                raise CopyRefused(f"The file {path!r} could not be read back as it was written.")
        return path, True

    def _digest(self, path: str) -> bytes:
        return sha256(self._target.read(path) or b"").digest()
