"""Files of a server of the tests, in its data directory or in its bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.runtime import Runtime
from server.storage.video_files import FILE_NAMES, Variant


class StoredFolder:
    """A folder of files, wherever the server stores them.

    Args:
        runtime: The server.
        folder: Such as "videos".
        path: The path of a folder in it.
    """

    def __init__(self, runtime: Runtime, folder: str, path: str) -> None:
        self._blobs = runtime.storage.store.blobs(folder)
        self._path, self._prefix = path, f"{path}/" if path else ""

    def names(self) -> list[str]:
        """Return the paths of all files in it, unfinished ones too; none if it does not exist."""
        found = [*self._blobs.walk(self._path), *self._blobs.drafts(self._path)]
        return sorted(item.path.removeprefix(self._prefix) for item in found)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        content = self._blobs.read(self._prefix + name, 1 << 30)
        assert content is not None, f"{self._prefix}{name} does not exist"
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of the one that is there."""
        self._blobs.put_all({self._prefix + name: content})

    def remove(self, name: str = "") -> None:
        """Remove a file, or all of them, without telling the server."""
        if name:
            self._blobs.remove([self._prefix + name])
        else:
            self._blobs.remove_folder(self._path)


def encoder_folder(runtime: Runtime, encoder_id: str) -> StoredFolder:
    """Return the folder of a published encoder."""
    return StoredFolder(runtime, "encoders", f"encoders/{encoder_id}")


def data_folder(runtime: Runtime, folder: str = "") -> Path:
    """Return a folder of the data directory; skip the test if the files are in a bucket."""
    if runtime.settings.store:
        pytest.skip("it looks into the data directory; test_bucket.py and others use a bucket")
    return runtime.settings.data_dir / folder


def stored(runtime: Runtime, video_id: str, variant: Variant = "video") -> Path:
    """Return the path of a video's file in the data directory; skip the test as `data_folder`."""
    return data_folder(runtime, "videos") / video_id / FILE_NAMES[variant]
