"""Answers from files of finished videos, which may be deleted while they are sent."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import IO, cast

import anyio
from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from encoders.blob_store import OpenBlob
from server.api.byte_ranges import parse_ranges
from server.api.conditional import has_current
from server.auth.sub_path import lead_elsewhere
from server.errors import NotFound
from server.storage.records import VideoRecord
from server.storage.video_files import FILE_NAMES, Variant, VideoFiles

MEDIA_TYPES: Mapping[Variant, str] = {
    "video": "video/mp4",
    "thumbnail": "image/webp",
    "spritesheet": "image/webp",
}


REDIRECT_S = 300
"""Seconds for which the URL of a redirect can be used."""


class BlobResponse(FileResponse):
    """A `FileResponse` of an open blob, which is read piece by piece as the client takes it.

    A file of a directory that is deleted meanwhile is sent to its end. An object of a bucket is
    not: the connection is closed before all bytes are sent.
    """

    def __init__(self, blob: OpenBlob, *, headers: Mapping[str, str], media_type: str) -> None:
        numbers = [0] * os.stat_result.n_sequence_fields
        numbers[stat.ST_SIZE] = blob.size
        numbers[stat.ST_MTIME] = int(blob.last_modified.timestamp())
        found = os.stat_result(numbers)
        super().__init__("", headers=headers, media_type=media_type, stat_result=found)
        self.chunk_size = blob.piece_bytes
        self._blob = blob

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._blob:
            await super().__call__(scope, receive, send)

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        return parse_ranges(http_range, file_size)

    @asynccontextmanager
    async def _open_file(self) -> AsyncGenerator[anyio.AsyncFile[bytes]]:
        yield anyio.wrap_file(cast("IO[bytes]", _BlobFile(self._blob)))


class _BlobFile(io.RawIOBase):
    """An open blob as a file, as far as Starlette reads one. Closing it leaves the blob open."""

    def __init__(self, blob: OpenBlob) -> None:
        self._blob = blob
        self._place = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._place = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        piece = self._blob.read(self._place, size)
        self._place += len(piece)
        return piece


def video_file(
    request: Request,
    files: VideoFiles,
    record: VideoRecord,
    variant: Variant = "video",
    *,
    download: bool = False,
    redirect: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a file of a finished video, or 304 if the client has it. Ranges are served.

    Args:
        request: its headers decide between the whole file, a range and 304.
        files: the files of finished videos.
        record: the video, which is completed.
        variant: the file.
        download: True: a browser saves the file; otherwise it shows it.
        redirect: True: answer a GET with a signed URL of the store, if it has them. A download is
            sent by the server all the same: the store does not know how to have it saved.
        headers: more headers of the answer.

    Raises:
        NotFound: the video was deleted, or its time is over.
        OSError: the file cannot be read just now.
    """
    tag = f'"{record.id}-{variant}"'  # a video is made once, so its name is its version
    left = max(0, (record.expires_at or 0) - int(time.time()))
    try:
        is_sent = not (redirect and request.method == "GET") or download or not left
        if not is_sent and not has_current(request, tag):
            seconds = min(left, REDIRECT_S)
            url = files.signed_url(record.id, record.attempt, variant, seconds)
            if url is not None:
                return _redirect(request, url)
        blob = files.open(record.id, record.attempt, variant)
    except FileNotFoundError as error:  # others are outages
        raise NotFound(f"The files of video {record.id} are gone.", code="content_gone") from error
    name = f"{record.id}{os.path.splitext(FILE_NAMES[variant])[1]}"
    described = {
        "ETag": tag,
        # Asked for each time: another key of the same browser may not have it, nor anybody once it
        # is deleted. The tag makes that cheap.
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization",
        "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        **(headers or {}),
    }
    answer = BlobResponse(blob, headers=described, media_type=MEDIA_TYPES[variant])
    if has_current(request, tag, blob.last_modified.timestamp()):
        blob.close()
        kept = ("etag", "last-modified", "cache-control", "vary")
        return Response(status_code=304, headers={name: answer.headers[name] for name in kept})
    return answer


def _redirect(request: Request, url: str) -> Response:
    lead_elsewhere(request, url)
    # Whoever has the URL has the file: it may stay in no cache, and go to no other site.
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status_code=307, headers=headers)
