"""Parsing of the Range header (RFC 9110, 14): the bytes of a file that a client asks for."""

from __future__ import annotations

import re

from server.errors import ApiError

_RANGE = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")
_MAX_RANGES = 100
_MAX_DIGITS = 18
"""Digits of a number that is read; a longer one is larger than any file."""
_SHOWN_CHARS = 80


class RangeNotSatisfiable(ApiError):
    """The file has none of the bytes that Range asks for."""

    status = 416
    code = "range_not_satisfiable"


def parse_ranges(header: str, size: int) -> list[tuple[int, int]]:
    """Return the ranges as (first byte, byte after the last), sorted and without overlaps.

    The list is empty if the header is to be ignored, so that the whole file is the answer: its unit
    is not bytes, it is malformed, or it has more than 100 ranges.

    Args:
        header: The value of Range.
        size: Bytes of the file.

    Raises:
        RangeNotSatisfiable: The file has none of the bytes.
    """
    unit, _, listed = header.partition("=")
    parts = [part for part in (part.strip(" \t") for part in listed.split(",")) if part]
    if unit.strip(" \t").lower() != "bytes" or not 1 <= len(parts) <= _MAX_RANGES:
        return []
    found: list[tuple[int, int]] = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None:
            return []
        first, last, count = match.groups()
        if count is not None:
            found.append((max(0, size - _number(count)), size))
            continue
        start, end = _number(first), _number(last) if last else size
        if last and end < start:
            return []
        found.append((start, min(end + 1, size)))
    inside = sorted((start, end) for start, end in found if start < size)
    if not inside:
        shown = header if len(header) <= _SHOWN_CHARS else header[:_SHOWN_CHARS] + "…"
        raise RangeNotSatisfiable(
            f"Range asks for {shown!r}, but the file has {size} bytes, 0 to {size - 1}: ask for "
            "some of these, or send no Range.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    merged = inside[:1]
    for start, end in inside[1:]:
        last_start, last_end = merged[-1]
        if start <= last_end:
            merged[-1] = (last_start, max(last_end, end))
        else:
            merged.append((start, end))
    return merged


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return 10**_MAX_DIGITS if len(digits) > _MAX_DIGITS else int(digits or "0")
