"""Finished videos on disk: one folder each, which exists whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from encoders.atomic_files import is_older, make_folder, remove_tree, sync, write_synced

Variant = Literal["video", "thumbnail", "spritesheet"]

FILE_NAMES: Mapping[Variant, str] = {
    "video": "video.mp4",
    "thumbnail": "thumbnail.webp",
    "spritesheet": "spritesheet.webp",
}


class VideoFiles:
    """The folder of finished videos. The server makes the ids, so they are safe as file names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / ".unfinished"
        shutil.rmtree(self._unfinished, ignore_errors=True)  # left by a killed server
        make_folder(self._unfinished)

    def path(self, video_id: str, variant: Variant) -> Path:
        """Return the path of a variant, which may not exist."""
        return self._folder / video_id / FILE_NAMES[variant]

    def open(self, video_id: str, variant: Variant) -> BinaryIO:
        """Open a variant for reading. It stays readable if the video is deleted meanwhile.

        Raises:
            FileNotFoundError: The file is gone.
            OSError: It cannot be read.
        """
        return self.path(video_id, variant).open("rb")

    def write(self, video_id: str, contents: Mapping[Variant, bytes]) -> None:
        """Store a video's files, in place of those of an earlier attempt.

        When this returns, they survive a power cut.

        Raises:
            OSError: The files could not be written.
        """
        self._unfinished.mkdir(exist_ok=True)  # somebody may have tidied up
        draft = self._unfinished / uuid.uuid4().hex
        draft.mkdir()
        try:
            for variant, content in contents.items():
                write_synced(draft / FILE_NAMES[variant], content)
            sync(draft)
            self.delete(video_id)
            draft.rename(self._folder / video_id)
            sync(self._folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def ids(self) -> list[str]:
        """Return the ids of all videos that have files."""
        return [path.name for path in self._folder.iterdir() if path != self._unfinished]

    def delete(self, video_id: str) -> None:
        """Remove a video's files, if there are any."""
        shutil.rmtree(self._folder / video_id, ignore_errors=True)

    def sweep(self, recorded: Callable[[], Collection[str]], older_than: float) -> list[str]:
        """Remove the files of videos that have no record, and unfinished ones; return their names.

        Args:
            recorded: Returns the ids of all videos. It is called once the folders are listed: a
                video is recorded before its files are written, so none is removed too early.
            older_than: Unix seconds. Unfinished files that were written to later are kept.
        """
        found = [path for path in self._folder.iterdir() if path != self._unfinished]
        kept = recorded()
        gone = [path for path in found if path.name not in kept]
        gone += [path for path in self._unfinished.iterdir() if is_older(path, older_than)]
        for path in gone:
            remove_tree(path)
        return [path.name for path in gone]
