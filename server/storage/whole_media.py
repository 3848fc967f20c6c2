"""Check of a video's files against the lengths that they declare themselves.

A file that was cut off, emptied or replaced by something else is found at the cost of a few reads:
an mp4 is a row of boxes, each with its length; a WebP begins with the length of the whole.
"""

from __future__ import annotations

from encoders.blob_store import OpenBlob

_NEEDED_BOXES = {b"ftyp", b"moov", b"mdat"}
_MAX_BOXES = 64
"""Boxes of an mp4 that are looked at: the server writes four or five."""


def is_whole(blob: OpenBlob, name: str) -> bool:
    """Return True if a file is as long as its content says, and of the kind of its suffix.

    Args:
        blob: The file.
        name: Ends in ".mp4" or ".webp".

    Raises:
        OSError: The file cannot be read just now.
    """
    return (_is_whole_mp4 if name.endswith(".mp4") else _is_whole_webp)(blob)


def _is_whole_webp(blob: OpenBlob) -> bool:
    head = blob.read(0, 12)
    is_webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    return is_webp and int.from_bytes(head[4:8], "little") + 8 == blob.size


def _is_whole_mp4(blob: OpenBlob) -> bool:
    found: set[bytes] = set()
    place = 0
    for _ in range(_MAX_BOXES):
        if place >= blob.size:
            break
        head = blob.read(place, 16)
        found.add(head[4:8])
        length, least = int.from_bytes(head[:4], "big"), 8
        if length == 1:  # a long box: its length follows
            length, least = int.from_bytes(head[8:16], "big"), 16
        if length < least:
            return False
        place += length
    return place == blob.size and found >= _NEEDED_BOXES
