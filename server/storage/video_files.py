"""Files of finished videos: those of one video are there whole or not at all."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from encoders.blob_store import BlobStore, NotABlob, OpenBlob
from server.outage import brief, is_outage
from server.storage.owned_names import DRAFT_PATH, VIDEO_ID
from server.storage.whole_media import is_whole

log = logging.getLogger(__name__)

Variant = Literal["video", "thumbnail", "spritesheet"]

FILE_NAMES: Mapping[Variant, str] = {
    "thumbnail": "thumbnail.webp",
    "spritesheet": "spritesheet.webp",
    "video": "video.mp4",
}
"""In the order of writing: where the video is, the others are."""


class VideoFiles:
    """The files of finished videos. The server makes the ids, so they are safe as names.

    While the blobs are away, nothing is swept, and no file is taken for absent: OSError is raised.

    Args:
        blobs: The folder of all videos.
        by_attempt: True to keep the files of each attempt at a video apart. A server that was taken
            for dead, and lives, then cannot replace what another has made meanwhile; the row names
            the attempt that counts.
    """

    def __init__(self, blobs: BlobStore, *, by_attempt: bool = False) -> None:
        self._blobs = blobs
        self._by_attempt = by_attempt

    def open(self, video_id: str, attempt: int, variant: Variant) -> OpenBlob:
        """Open a variant for reading.

        Raises:
            FileNotFoundError: The file is gone, was cut off, or something else is in its place.
            OSError: It cannot be read just now.
        """
        path = self._path(video_id, attempt, variant)
        gone = FileNotFoundError(errno.ENOENT, "no whole file of a video", path)
        try:
            blob = self._blobs.open(path)
        except NotABlob as error:
            raise gone from error
        if blob is None:
            raise gone
        try:
            if not is_whole(blob, path):
                raise gone
        except BaseException:
            blob.close()
            raise
        return blob

    def signed_url(self, video_id: str, attempt: int, variant: Variant, seconds: int) -> str | None:
        """Return a URL at which anybody can read a variant for some time, where there are any.

        Raises:
            FileNotFoundError: The file is gone.
            OSError: The store cannot be asked just now.
        """
        path = self._path(video_id, attempt, variant)
        url = self._blobs.signed_url(path, seconds)
        if url is not None and not self._blobs.exists(path):
            raise FileNotFoundError(errno.ENOENT, "no file of a video", path)
        return url

    def write(self, video_id: str, attempt: int, contents: Mapping[Variant, bytes]) -> None:
        """Store a video's files, in place of those of an earlier call for the attempt.

        When this returns, they survive a power cut.

        Raises:
            OSError: The files could not be written.
        """
        blobs = {name: contents[kind] for kind, name in FILE_NAMES.items() if kind in contents}
        self._blobs.put_folder(self._folder(video_id, attempt), blobs)

    def ids(self) -> list[str]:
        """Return the ids of all videos that have files."""
        return [name for name in self._blobs.subfolders("") if VIDEO_ID.fullmatch(name)]

    def delete(self, video_id: str) -> None:
        """Remove the files of every attempt at a video.

        What cannot be removed just now is swept: a deleted video has no record.
        """
        self._remove(video_id)

    def delete_attempt(self, video_id: str, attempt: int) -> None:
        """Remove the files of an attempt that does not count. What is left of them is swept."""
        self._remove(self._folder(video_id, attempt))

    def sweep(
        self, recorded: Callable[[], Mapping[str, int | None]], older_than: float
    ) -> list[str]:
        """Remove the files of videos that have no record, and unfinished ones; return their names.

        What has another name than the server gives is left alone.

        Args:
            recorded: Returns the ids of all videos, each with the attempt that made it; None while
                the video is made, when any attempt may be the one. It is called once the folders
                are listed: a video is recorded before its files are written, so none is removed too
                early.
            older_than: Unix seconds. Unfinished files that were written to later are kept.
        """
        found = self._attempts()
        kept = recorded()
        gone = [
            f"{video_id}/{name}" if name else video_id
            for video_id, name in found
            if video_id not in kept or (name and kept[video_id] not in (None, int(name)))
        ]
        before = datetime.fromtimestamp(older_than, UTC)
        gone += [
            item.path
            for item in self._blobs.drafts("")
            if DRAFT_PATH.fullmatch(item.path) and item.last_modified < before
        ]
        self._blobs.each(self._blobs.remove_folder, gone)
        return gone

    def _attempts(self) -> list[tuple[str, str]]:
        """Return each video with the name of an attempt's folder; "" if it has one folder."""
        if not self._by_attempt:
            return [(video_id, "") for video_id in self.ids()]
        folders = {tuple(item.path.split("/", 2)[:2]) for item in self._blobs.walk("")}
        return [
            (folder[0], folder[1])
            for folder in sorted(folders)
            if VIDEO_ID.fullmatch(folder[0]) and folder[1:] and folder[1].isdecimal()
        ]

    def _remove(self, folder: str) -> None:
        try:
            self._blobs.remove_folder(folder)
        except OSError as error:
            if not is_outage(error):
                raise
            log.warning("the files of %s stay for now: %s", folder, brief(error))

    def _path(self, video_id: str, attempt: int, variant: Variant) -> str:
        return f"{self._folder(video_id, attempt)}/{FILE_NAMES[variant]}"

    def _folder(self, video_id: str, attempt: int) -> str:
        return f"{video_id}/{attempt}" if self._by_attempt else video_id
