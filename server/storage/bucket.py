"""A bucket, or a prefix in one, as a server's store of files.

Below the URL lie the folders that a data directory has, with the same names inside. Each has a
marker, whose content is the id of the database that knows what is in the folder: without that, two
servers with databases of their own would each take the other's files for leftovers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from encoders.blob_store import StoreUnreachable
from encoders.folder_marker import MARKER
from encoders.object_blobs import ObjectBlobs
from server.storage.bucket_probe import StoreUnfit, probe
from server.storage.file_store import FileStore
from server.storage.owned_names import MARKED_FOLDERS
from server.storage.storage_errors import StorageAway

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 1.0
_LOOK_TIMEOUT_S = 3.0
_LOOKS_UNTIL_AWAY = 3
"""Looks in a row that must not find the store before the server says that it is not ready."""
_MOST_MARKER_BYTES = 1000
_LEFT_AFTER_S = 3600.0
"""Age from which what belongs to no job is a leftover: another server may be writing what is
younger."""


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
        try:
            probe(ObjectBlobs(self._url), self._url)
            mine = owner()
            for folder in MARKED_FOLDERS:
                self._mark(folder, mine)
        except StoreUnreachable as error:
            raise StorageAway(f"{error}.") from error

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
        content = f"database {mine}\n".encode()
        if blobs.create(MARKER, content):
            return
        found = blobs.read(MARKER, _MOST_MARKER_BYTES) or b""
        if not found.startswith(b"database "):  # copied from a data directory
            blobs.put_all({MARKER: content})
        elif found != content:
            raise StoreUnfit(
                f"{self._url} belongs to the database {found.split()[-1].decode()}, and this "
                f"server's is {mine}: set PALIMPSEST_STORE to another prefix, or use that database."
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
