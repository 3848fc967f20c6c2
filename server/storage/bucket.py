"""A bucket, or a prefix in one, as a server's store of files.

Below the URL lie the folders that a data directory has, with the same names inside. Each has a
marker, whose content is the id of the database that knows what is in the folder: without that, two
servers with databases of their own would each take the other's files for leftovers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread

from encoders.blob_store import StoreUnreachable
from encoders.folder_marker import MARKER
from encoders.object_blobs import ObjectBlobs
from server.storage.bucket_probe import StoreUnfit, probe, unfinished_copy
from server.storage.file_store import FileStore
from server.storage.owned_names import MARKED_FOLDERS
from server.storage.storage_errors import StorageAway
from server.storage.unfinished_copy import MOST_BYTES, UnfinishedCopy, refusal

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 1.0
_LOOK_TIMEOUT_S = 3.0
_LOOKS_UNTIL_AWAY = 3
"""Looks in a row that must not find the store before the server says that it is not ready."""
_LEFT_AFTER_S = 3600.0
"""Age from which what belongs to no job is a leftover: another server may be writing what is
younger."""
_FIRST, *_OTHERS = MARKED_FOLDERS


class Bucket(FileStore):
    """The folders below a URL such as `s3://bucket/prefix`, which several servers can share."""

    by_attempt = True

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._blobs: dict[str, ObjectBlobs] = {}
        self._ended = Event()
        self._away: StorageAway | None = None
        self._thread = Thread(target=self._watch, name="palimpsest-store", daemon=True)

    def prepare(self, owner: Callable[[], str]) -> None:
        if self.unfinished_copy() is not None:  # before this server's database gets an id
            raise StoreUnfit(refusal(self._url))
        with _told():
            probe(ObjectBlobs(self._url), self._url)
            mine = owner()
            for folder in MARKED_FOLDERS:
                self._mark(folder, mine)

    def unfinished_copy(self) -> UnfinishedCopy | None:
        with _told():
            return unfinished_copy(self._url)

    def begin_copy(self, copy: UnfinishedCopy) -> UnfinishedCopy:
        with _told():
            begun = unfinished_copy(self._url)
            if begun is None:
                self._check_empty()
                if not self.blobs(_FIRST).create(MARKER, copy.content()):
                    raise StoreUnfit(f"{self._url} was taken by another process just now.")
                begun = copy
            for folder in _OTHERS:
                self.blobs(folder).put_all({MARKER: _content(begun.database_id)})
        return begun

    def end_copy(self, copy: UnfinishedCopy) -> None:
        with _told():
            self.blobs(_FIRST).put_all({MARKER: _content(copy.database_id)})

    def blobs(self, folder: str) -> ObjectBlobs:
        if folder not in self._blobs:
            url, is_marked = f"{self._url}/{folder}", folder in MARKED_FOLDERS
            self._blobs[folder] = ObjectBlobs(
                url, is_marked=is_marked, is_away=lambda: self._away is not None
            )
        return self._blobs[folder]

    def is_there(self) -> bool:
        try:
            for folder in MARKED_FOLDERS:
                self.blobs(folder).check_there()
        except StoreUnreachable:
            return False
        return True

    def left_before(self, now: float) -> float:
        return now - _LEFT_AFTER_S

    @property
    def error(self) -> StorageAway | None:
        return self._away

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()

    def _mark(self, folder: str, mine: str) -> None:
        blobs = self.blobs(folder)
        content = _content(mine)
        if blobs.create(MARKER, content):
            return
        found = blobs.read(MARKER, MOST_BYTES) or b""
        if not found.startswith(b"database "):  # copied from a data directory
            blobs.put_all({MARKER: content})
        elif found != content:
            raise StoreUnfit(
                f"{self._url} belongs to the database {found.split()[-1].decode()}, and this "
                f"server's is {mine}: set PALIMPSEST_STORE to another prefix, or use that database."
            )

    def _check_empty(self) -> None:
        root = ObjectBlobs(self._url)
        probe(root, self._url)
        found = next(root.walk(""), None)
        if found is not None:
            raise StoreUnfit(
                f"{self._url} is not empty: it has {found.path[:80]!r}. Name another prefix."
            )

    def _watch(self) -> None:
        url = f"{self._url}/{MARKED_FOLDERS[0]}"
        blobs, missed = ObjectBlobs(url, is_marked=True, timeout_s=_LOOK_TIMEOUT_S), 0
        while not self._ended.wait(_LOOK_INTERVAL_S):
            try:
                blobs.check_there()
            except StoreUnreachable as error:
                missed += 1
                if missed == _LOOKS_UNTIL_AWAY:
                    log.warning("%s. The server is not ready until it is back.", error)
                if missed >= _LOOKS_UNTIL_AWAY:
                    self._away = StorageAway(f"{error}.")
            else:
                if self._away is not None:
                    log.info("%s is back", self._url)
                self._away, missed = None, 0


def _content(database_id: str) -> bytes:
    return f"database {database_id}\n".encode()


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except StoreUnreachable as error:
        raise StorageAway(f"{error}.") from error
