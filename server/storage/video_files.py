"""Finished videos on disk: one folder each, there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

Variant = Literal["video", "thumbnail", "spritesheet"]

FILE_NAMES: Mapping[Variant, str] = {
    "video": "video.mp4",
    "thumbnail": "thumbnail.webp",
    "spritesheet": "spritesheet.webp",
}
VARIANTS: tuple[Variant, ...] = get_args(Variant)


class VideoFiles:
    """The folder of finished videos. Ids are ours, so they are safe as names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / ".unfinished"
        shutil.rmtree(self._unfinished, ignore_errors=True)  # what a kill left
        self._unfinished.mkdir(parents=True)

    def path(self, video_id: str, variant: Variant) -> Path:
        """Where a variant lies, or would lie."""
        return self._folder / video_id / FILE_NAMES[variant]

    def write(self, video_id: str, contents: Mapping[Variant, bytes]) -> None:
        """Store a video's files, in place of what an earlier attempt stored. Raises OSError."""
        draft = self._unfinished / uuid.uuid4().hex
        draft.mkdir()
        try:
            for variant, content in contents.items():
                with (draft / FILE_NAMES[variant]).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            self.delete(video_id)
            draft.rename(self._folder / video_id)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def delete(self, video_id: str) -> None:
        """Remove a video's files, if there are any."""
        shutil.rmtree(self._folder / video_id, ignore_errors=True)
