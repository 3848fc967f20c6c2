"""Counting of a small body's fields, before the app parses and validates them.

Validation makes an error object for every field at fault, so its cost grows with their number.
Counting costs a millisecond for the largest body that is read.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from server.errors import InvalidRequest
from server.http.body_limits import FieldLimits


def check_fields(body: bytes, content_type: str, limits: FieldLimits) -> None:
    """Raise InvalidRequest if a form or a JSON document holds more than `limits` allow.

    A body that cannot be parsed passes: the app has the right error for it.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        _check_count(body.count(b"&") + 1, limits.entries, "The form")
    elif kind == "multipart/form-data":
        _check_count(body.lower().count(b"content-disposition"), limits.entries, "The form")
    else:
        try:
            document: Any = from_json(body)
        except ValueError:
            return
        _check_json(document, limits)


def _check_json(document: Any, limits: FieldLimits) -> None:
    level, values = [document], 0
    for depth in range(limits.depth + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                _check_count(len(value), limits.entries, "A JSON object")
                for name in value:
                    _check_count(len(name), limits.name_length, "A field's name", "characters")
                below.extend(value.values())
            elif isinstance(value, list):
                _check_count(len(value), limits.entries, "A JSON list")
                below.extend(value)
            _check_count(values + len(below), limits.values, "The body", "values")
        if not below:
            return
        if depth == limits.depth:
            raise InvalidRequest(
                f"The body's objects and lists are nested more than {limits.depth} deep.",
                code="too_many_fields",
            )
        values += len(below)
        level = below


def _check_count(count: int, most: int, what: str, unit: str = "fields") -> None:
    if count > most:
        raise InvalidRequest(
            f"{what} has {count} {unit}; at most {most} are read.", code="too_many_fields"
        )
