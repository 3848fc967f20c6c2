"""Finished videos on disk: one folder each, which exists whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from encoders.atomic_files import rename_synced

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
        self._unfinished.mkdir(parents=True)

    def path(self, video_id: str, variant: Variant) -> Path:
        """Return the path of a variant, which may not exist."""
        return self._folder / video_id / FILE_NAMES[variant]

    def write(self, video_id: str, contents: Mapping[Variant, bytes]) -> None:
        """Store a video's files, in place of those of an earlier attempt.

        Raises:
            OSError: The files could not be written.
        """
        self._unfinished.mkdir(exist_ok=True)  # somebody may have tidied up
        draft = self._unfinished / uuid.uuid4().hex
        draft.mkdir()
        try:
            for variant, content in contents.items():
                (draft / FILE_NAMES[variant]).write_bytes(content)
            self.delete(video_id)
            rename_synced(draft, self._folder / video_id)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def ids(self) -> list[str]:
        """Return the ids of all videos that have files."""
        return [path.name for path in self._folder.iterdir() if path != self._unfinished]

    def delete(self, video_id: str) -> None:
        """Remove a video's files, if there are any."""
        shutil.rmtree(self._folder / video_id, ignore_errors=True)
