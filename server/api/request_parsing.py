"""Parsing of request bodies: JSON or a form, into one checked request.

OpenAI's client sends forms. They write a list as a repeated `name[]` and an object as `name[key]`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from server.errors import InvalidRequest, UnsupportedMediaType, validation_error

_BRACKETED = re.compile(r"([A-Za-z_]\w*)\[(\w*)\]")
_MAX_FIELDS = 200

Checked = TypeVar("Checked", bound=BaseModel)


async def read_fields(request: Request, *, max_files: int) -> dict[str, Any]:
    """Return the body's fields; a form's files are `UploadFile` objects.

    A field that a form repeats, or writes as `name[]`, becomes a list.

    Raises:
        InvalidRequest: the body cannot be parsed, or a form has more than `max_files` files.
        UnsupportedMediaType: the body is neither JSON nor a form.
    """
    content_type = request.headers.get("content-type", "application/json")
    kind = content_type.partition(";")[0].strip().lower()
    _check_charset(content_type)
    if kind == "application/json":
        return _json_object(await request.body(), what="The body")
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise UnsupportedMediaType(
            f"Content-Type {kind!r} cannot be read: send application/json or multipart/form-data."
        )
    try:
        form = await request.form(
            max_files=max_files, max_fields=_MAX_FIELDS, max_part_size=1 << 20
        )
    except HTTPException as error:
        raise InvalidRequest(f"The form cannot be read: {error.detail}.") from error
    except (LookupError, ValueError) as error:  # from the parser, for text that it cannot decode
        raise InvalidRequest("The form cannot be read: it is malformed.") from error
    if any(name.lstrip().startswith("{") for name in form):
        raise InvalidRequest(
            f"The body is JSON, and its Content-Type says {kind}: send application/json (curl: "
            "-H 'Content-Type: application/json')."
        )
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        _add(fields, name, value)
    return fields


def _check_charset(content_type: str) -> None:
    """Raise UnsupportedMediaType for a charset other than UTF-8.

    The form parser would look the name up among Python's codecs, and some of those fail, or decode
    other text than was sent.
    """
    try:
        _, options = parse_options_header(content_type)  # as the form parser reads it
        charset = options.get(b"charset", b"utf-8").decode("latin-1")
    except (LookupError, ValueError) as error:
        raise UnsupportedMediaType("Content-Type cannot be read.") from error
    if charset.strip().lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(
            f"The charset {charset[:40]!r} is not supported: send UTF-8.",
            code="unsupported_charset",
        )


def check(model: type[Checked], fields: dict[str, Any]) -> Checked:
    """Validate `fields`. Raise InvalidRequest for the first one that is not valid."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise validation_error(list(error.errors(include_url=False))) from error


def text_lists(fields: dict[str, Any], *names: str) -> None:
    """Turn these fields into lists where a form sent a single value."""
    for name in names:
        if isinstance(fields.get(name), str):
            fields[name] = [fields[name]]


def json_fields(fields: dict[str, Any], *names: str) -> None:
    """Parse these fields as JSON objects where a form sent text. Raise InvalidRequest."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            fields[name] = _json_object(value.encode(), what=f"{name!r}", param=name)
        elif isinstance(value, dict):
            fields[name] = {key: _scalar(part) for key, part in value.items()}


def request_hash(request: BaseModel, files: Sequence[bytes] = ()) -> str:
    """Return a hash of the checked fields and the files, equal for equal requests.

    Fields with their default values are left out: a field that a later version adds must not change
    the hash of a request that a client repeats.
    """
    content = json.dumps(request.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    parts = [content.encode(), *files]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key header, or None. Raise InvalidRequest if its length is wrong."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise InvalidRequest("Idempotency-Key must have 1 to 255 characters.")
    return key


def _json_object(data: bytes, *, what: str, param: str | None = None) -> dict[str, Any]:
    try:
        document: Any = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"{what} is not JSON: {error}.", param=param) from error
    if not isinstance(document, dict):
        raise InvalidRequest(f"{what} must be a JSON object.", param=param)
    return document


def _add(fields: dict[str, Any], name: str, value: UploadFile | str) -> None:
    bracketed = _BRACKETED.fullmatch(name)
    if bracketed is None:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
        return
    name, key = bracketed[1], bracketed[2]
    container = fields.setdefault(name, {} if key else [])
    if key and isinstance(container, dict):
        container[key] = value
    elif not key and isinstance(container, list):
        container.append(value)
    else:
        raise InvalidRequest(f"{name!r} is sent in two ways that do not fit.", param=name)


def _scalar(value: Any) -> Any:
    """Return the value of a form's `settings[steps]=40` as JSON; as text if it is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        return value
