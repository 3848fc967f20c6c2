"""Writing of a backup: one tar file, which appears under its name once it is whole."""

from __future__ import annotations

import tarfile
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from encoders.atomic_files import draft_path, rename_synced
from encoders.version import VERSION
from server.copying.errors import CopyRefused
from server.copying.manifest import (
    FILES,
    MANIFEST,
    FileEntry,
    FileList,
    Manifest,
    TableEntry,
    content_file,
    rows_file,
)
from server.copying.source import SourceRows
from server.copying.table_rows import LinesDigest
from server.storage.upgrade import revisions


class BackupWriter:
    """A backup that is being written.

    Args:
        tar: The file.
        folder: A folder with room for the rows of one table.
    """

    def __init__(self, tar: tarfile.TarFile, folder: Path) -> None:
        self._tar = tar
        self._folder = folder
        self._now = int(time.time())
        self._tables: dict[str, TableEntry] = {}
        self._files: list[FileEntry] = []

    def add_table(self, name: str, rows: SourceRows) -> int:
        """Write the rows of a table, and return their number."""
        digest = LinesDigest()
        with tempfile.TemporaryFile(dir=self._folder) as spool:  # a tar needs the size first
            for line in digest.through(rows.lines(name)):
                spool.write(line)
            size = spool.tell()
            spool.seek(0)
            self._add(rows_file(name), size, spool)
        last = rows.last_number(name)
        entry = TableEntry(rows=digest.rows, sha256=digest.sha256, last_number=last)
        self._tables[name] = entry
        return digest.rows

    def add_file(self, path: str, content: bytes) -> None:
        """Write a server's file."""
        digest = sha256(content).hexdigest()
        self._files.append(FileEntry(path=path, bytes=len(content), sha256=digest))
        self._add_bytes(content_file(path), content)

    def finish(self) -> Manifest:
        """Write the list of the files, and the manifest."""
        listed = "".join(f"{entry.model_dump_json()}\n" for entry in self._files).encode()
        self._add_bytes(FILES, listed)
        files = FileList(count=len(self._files), sha256=sha256(listed).hexdigest())
        manifest = Manifest(
            version=VERSION,
            revision=revisions()[-1],
            created_at=self._now,
            tables=self._tables,
            files=files,
        )
        self._add_bytes(MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
        return manifest

    def _add_bytes(self, name: str, content: bytes) -> None:
        self._add(name, len(content), BytesIO(content))

    def _add(self, name: str, size: int, content: BinaryIO) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = size, self._now, 0o600
        self._tar.addfile(member, content)


@contextmanager
def written(path: Path) -> Generator[BackupWriter]:
    """Yield a backup to be written. Without an error it gets its name at the end.

    Raises:
        CopyRefused: There is a file of that name.
        OSError: It cannot be written.
    """
    if path.exists():
        raise CopyRefused(f"{path} exists already: choose another name.")
    draft = draft_path(path)
    try:
        with tarfile.open(draft, "x:", format=tarfile.PAX_FORMAT) as tar:
            yield BackupWriter(tar, path.parent)
        rename_synced(draft, path)
    finally:
        draft.unlink(missing_ok=True)
