"""Finished videos on disk: one folder each, which exists whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from encoders.atomic_files import is_older, make_folder, remove_tree, sync, write_synced
from encoders.folder_marker import check_marked
from encoders.plain_files import NotAFile, open_plain
from server.storage.owned_names import DRAFT_ID, UNFINISHED, VIDEO_ID
from server.storage.whole_media import is_whole

Variant = Literal["video", "thumbnail", "spritesheet"]

FILE_NAMES: Mapping[Variant, str] = {
    "video": "video.mp4",
    "thumbnail": "thumbnail.webp",
    "spritesheet": "spritesheet.webp",
}


class VideoFiles:
    """The folder of finished videos. The server makes the ids, so they are safe as file names.

    Args:
        folder: The folder.
        is_marked: True if it has a marker (`encoders.folder_marker`). While it is away, nothing is
            written or swept, and no file is taken for absent: OSError is raised.
    """

    def __init__(self, folder: Path, *, is_marked: bool = False) -> None:
        self._folder = folder
        self._is_marked = is_marked
        self._check_there()
        self._unfinished = folder / UNFINISHED
        make_folder(self._unfinished)
        for draft in self._drafts():  # left by a killed server
            remove_tree(draft)

    def path(self, video_id: str, variant: Variant) -> Path:
        """Return the path of a variant, which may not exist."""
        return self._folder / video_id / FILE_NAMES[variant]

    def open(self, video_id: str, variant: Variant) -> BinaryIO:
        """Open a variant for reading. It stays readable if the video is deleted meanwhile.

        Raises:
            FileNotFoundError: The file is gone, was cut off, or something else is in its place.
            OSError: It cannot be read just now.
        """
        try:
            return self._open(video_id, variant)
        except FileNotFoundError:
            self._check_there()
            return self._open(video_id, variant)  # the folder may have come back in between

    def _open(self, video_id: str, variant: Variant) -> BinaryIO:
        path = self.path(video_id, variant)
        gone = FileNotFoundError(errno.ENOENT, "no whole file of a video", str(path))
        try:
            descriptor = open_plain(self._folder, f"{video_id}/{path.name}")
        except (FileNotFoundError, NotADirectoryError, NotAFile) as error:
            raise gone from error
        try:
            if not is_whole(descriptor, path.suffix):
                raise gone
        except BaseException:
            os.close(descriptor)
            raise
        return open(path, "rb", opener=lambda *_: descriptor)

    def write(self, video_id: str, contents: Mapping[Variant, bytes]) -> None:
        """Store a video's files, in place of those of an earlier attempt.

        When this returns, they survive a power cut.

        Raises:
            OSError: The files could not be written.
        """
        self._check_there()  # or they would be written where the folder is to come back
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
        return [path.name for path in self._folders()]

    def delete(self, video_id: str) -> None:
        """Remove a video's files, if there are any."""
        remove_tree(self._folder / video_id)

    def sweep(self, recorded: Callable[[], Collection[str]], older_than: float) -> list[str]:
        """Remove the files of videos that have no record, and unfinished ones; return their names.

        What has another name than the server gives is left alone.

        Args:
            recorded: Returns the ids of all videos. It is called once the folders are listed: a
                video is recorded before its files are written, so none is removed too early.
            older_than: Unix seconds. Unfinished files that were written to later are kept.
        """
        self._check_there()
        found = self._folders()
        kept = recorded()
        gone = [path for path in found if path.name not in kept]
        gone += [path for path in self._drafts() if is_older(path, older_than)]
        for path in gone:
            remove_tree(path)
        return [path.name for path in gone]

    def _folders(self) -> list[Path]:
        """Return the folders of all videos."""
        return [path for path in self._folder.iterdir() if VIDEO_ID.fullmatch(path.name)]

    def _drafts(self) -> list[Path]:
        """Return what was not finished, or is being written."""
        return [path for path in self._unfinished.iterdir() if DRAFT_ID.fullmatch(path.name)]

    def _check_there(self) -> None:
        if self._is_marked:
            check_marked(self._folder)
