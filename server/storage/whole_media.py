"""Check of a video's files against the lengths that they declare themselves.

A file that was cut off, emptied or replaced by something else is found at the cost of a few reads:
an mp4 is a row of boxes, each with its length; a WebP begins with the length of the whole.
"""

from __future__ import annotations

import os

_NEEDED_BOXES = {b"ftyp", b"moov", b"mdat"}
_MAX_BOXES = 64
"""Boxes of an mp4 that are looked at: the server writes four or five."""


def is_whole(descriptor: int, suffix: str) -> bool:
    """Return True if a file is as long as its content says, and of the kind of its suffix.

    Args:
        descriptor: The open file; its place stays what it is.
        suffix: ".mp4" or ".webp".

    Raises:
        OSError: The file cannot be read just now.
    """
    size = os.fstat(descriptor).st_size
    return (_is_whole_mp4 if suffix == ".mp4" else _is_whole_webp)(descriptor, size)


def _is_whole_webp(descriptor: int, size: int) -> bool:
    head = os.pread(descriptor, 12, 0)
    is_webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    return is_webp and int.from_bytes(head[4:8], "little") + 8 == size


def _is_whole_mp4(descriptor: int, size: int) -> bool:
    found: set[bytes] = set()
    place = 0
    for _ in range(_MAX_BOXES):
        if place >= size:
            break
        head = os.pread(descriptor, 16, place)
        found.add(head[4:8])
        length, least = int.from_bytes(head[:4], "big"), 8
        if length == 1:  # a long box: its length follows
            length, least = int.from_bytes(head[8:16], "big"), 16
        if length < least:
            return False
        place += length
    return place == size and found >= _NEEDED_BOXES
