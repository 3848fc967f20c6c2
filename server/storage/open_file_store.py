"""Choice of a server's store of files, by its settings."""

from __future__ import annotations

from server.settings import Settings
from server.storage.file_store import FileStore


def open_file_store(settings: Settings) -> FileStore:
    """Return the store that the settings name."""
    if settings.store:
        from server.storage.bucket import Bucket

        return Bucket(settings.store)
    from server.storage.data_folders import DataFolders

    return DataFolders(settings.data_dir)
