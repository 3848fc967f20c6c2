"""Answers from files of finished videos, which may be deleted while they are sent."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import BinaryIO

import anyio
from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from server.api.byte_ranges import parse_ranges
from server.api.conditional import has_current
from server.errors import NotFound
from server.storage.records import VideoRecord
from server.storage.video_files import FILE_NAMES, Variant, VideoFiles

MEDIA_TYPES: Mapping[Variant, str] = {
    "video": "video/mp4",
    "thumbnail": "image/webp",
    "spritesheet": "image/webp",
}


class OpenFileResponse(FileResponse):
    """A `FileResponse` of an open file.

    A file that is deleted meanwhile is sent to its end: the open file stays readable.
    """

    def __init__(self, file: BinaryIO, *, headers: Mapping[str, str], media_type: str) -> None:
        stat = os.fstat(file.fileno())
        super().__init__(file.name, headers=headers, media_type=media_type, stat_result=stat)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        return parse_ranges(http_range, file_size)

    @asynccontextmanager
    async def _open_file(self) -> AsyncGenerator[anyio.AsyncFile[bytes]]:
        yield anyio.wrap_file(self._file)


def video_file(
    request: Request,
    files: VideoFiles,
    record: VideoRecord,
    variant: Variant = "video",
    *,
    download: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a file of a finished video, or 304 if the client has it. Ranges are served.

    Args:
        request: its headers decide between the whole file, a range and 304.
        files: the folder of finished videos.
        record: the video, which is completed.
        variant: the file.
        download: True: a browser saves the file; otherwise it shows it.
        headers: more headers of the answer.

    Raises:
        NotFound: the video was deleted, or its time is over.
        OSError: the file cannot be read just now.
    """
    try:
        file = files.open(record.id, variant)
    except FileNotFoundError as error:  # others are outages
        raise NotFound(f"The files of video {record.id} are gone.", code="content_gone") from error
    name = f"{record.id}{os.path.splitext(FILE_NAMES[variant])[1]}"
    tag = f'"{record.id}-{variant}"'  # a video is made once, so its name is its version
    left = max(0, (record.expires_at or 0) - int(time.time()))
    described = {
        "ETag": tag,
        "Cache-Control": f"private, max-age={left}, immutable",
        "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        **(headers or {}),
    }
    answer = OpenFileResponse(file, headers=described, media_type=MEDIA_TYPES[variant])
    if has_current(request, tag, os.fstat(file.fileno()).st_mtime):
        file.close()
        kept = ("etag", "last-modified", "cache-control")
        return Response(status_code=304, headers={name: answer.headers[name] for name in kept})
    return answer
