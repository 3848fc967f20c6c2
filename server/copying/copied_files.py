"""Files of a server that are copied, under paths that are the same for every store.

A path is that in a data directory. In a bucket a video has a folder for each attempt, and its row
says which one counts; the others are not copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from encoders import layout
from encoders.blob_store import BlobInfo, NotABlob
from encoders.card import is_id
from server.copying.errors import CopyRefused
from server.storage.file_store import FileStore
from server.storage.owned_names import JOB_ID, MARKED_FOLDERS, STORES, VIDEO_ID, WORKSPACES
from server.storage.video_files import FILE_NAMES

_VIDEOS = "videos"
_MOST_BYTES = 1 << 32
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_IN_VIDEOS = re.compile(
    rf"({VIDEO_ID.pattern})/(?:(\d+)/)?({'|'.join(map(re.escape, FILE_NAMES.values()))})"
)
_IN_WORKSPACES = re.compile(rf"{JOB_ID.pattern}/{_NAME}(/{_NAME})?")
_LAST = ("card.json", "judgement.json")
"""Files that say that all others are there, and so are listed first and copied last."""


class CopiedFiles:
    """The files of one server, to be read or to be written.

    Args:
        store: The server's.
        attempts: Id of each completed video → the attempt that made it.
    """

    def __init__(self, store: FileStore, attempts: Mapping[str, int]) -> None:
        self._store = store
        self._attempts = attempts

    def sizes(self) -> dict[str, int]:
        """Return the path of each file and its bytes, in the order in which they are to be copied.

        Leftovers, and what has another name than a server gives, are left out.

        Raises:
            CopyRefused: A folder is away, or was never made.
        """
        found: dict[str, int] = {}
        for folder in MARKED_FOLDERS:
            before = self._walk(folder)
            now = self._walk(folder)
            paths = [path for path in now if path in before or not path.endswith(_LAST)]
            for path in sorted(paths, key=lambda path: (path.endswith(_LAST), path)):
                found[f"{folder}/{path}"] = now[path]
        return found

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if it was removed, or is no file."""
        folder, inside = self._place(path)
        try:
            return self._store.blobs(folder).read(inside, _MOST_BYTES)
        except NotABlob:
            return None

    def write(self, path: str, content: bytes) -> None:
        """Write a file, in place of the one that is there."""
        folder, inside = self._place(path)
        self._store.blobs(folder).put_all({inside: content})

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files."""
        for path in paths:
            folder, inside = self._place(path)
            self._store.blobs(folder).remove([inside])

    def _walk(self, folder: str) -> dict[str, int]:
        try:
            found: list[BlobInfo] = list(self._store.blobs(folder).walk(""))
        except OSError as error:
            raise CopyRefused(f"The folder {folder!r} cannot be read: {error}.") from error
        paths = ((self._path_of(folder, item.path), item.size) for item in found)
        return {path: size for path, size in paths if path is not None}

    def _path_of(self, folder: str, inside: str) -> str | None:
        """Return the path, inside its folder, under which a file is copied; None if it is not."""
        if folder != _VIDEOS:
            return inside if is_copied(f"{folder}/{inside}") else None
        match = _IN_VIDEOS.fullmatch(inside)
        if match is None or match[1] not in self._attempts:
            return None
        attempt = str(self._attempts[match[1]]) if self._store.by_attempt else None
        return f"{match[1]}/{match[3]}" if match[2] == attempt else None

    def _place(self, path: str) -> tuple[str, str]:
        """Return folder and path of a file in this store."""
        folder, _, inside = path.partition("/")
        if not is_copied(path):
            raise CopyRefused(f"No server has a file {path[:200]!r}.")
        if folder == _VIDEOS and self._store.by_attempt:
            video, _, name = inside.partition("/")
            if video not in self._attempts:
                raise CopyRefused(f"No row says which attempt made {path!r}.")
            inside = f"{video}/{self._attempts[video]}/{name}"
        return folder, inside


def is_copied(path: str) -> bool:
    """Return True for a path under which files are copied: it is safe as a name, too."""
    folder, _, inside = path.partition("/")
    if folder == _VIDEOS:
        match = _IN_VIDEOS.fullmatch(inside)
        return match is not None and match[2] is None
    if folder == WORKSPACES:
        return _IN_WORKSPACES.fullmatch(inside) is not None
    return folder in STORES and layout.is_path(inside) and is_id(inside.split("/")[1])
