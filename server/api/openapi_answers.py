"""Answers in the OpenAPI document that FastAPI cannot know: errors, headers, BentoML's probes."""

from __future__ import annotations

from typing import Any

_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}

_ERRORS = {
    400: "A field, a parameter or the body cannot be used; `param` names it",
    401: "No key, or one that this server does not accept",
    403: "The key may not do this",
    404: "Nothing of this name exists that the key may see",
    409: "The state of the job or the encoder does not allow this; `code` says which",
    413: "The body is too large",
    415: "The body is neither JSON nor a form, or not UTF-8",
    422: "The Idempotency-Key was used for another request",
    429: "A limit is reached: of the key, which `param` names, or of the server. Retry-After: when",
    503: "The server is starting or stopping, or its model or storage cannot be used just now",
}
_WAITING = {"create_video_and_wait", "generate"}
_CREATING = {"create_video", "create_encoder", "judge_encoder", *_WAITING}
_CHANGING = {
    *("delete_video", "delete_encoder", "put_alias", "delete_alias", "erase_tenant"),
    "drain_replica",
}
_CONFLICTS = {*_CREATING, "put_alias", "get_video_content", "get_report", "get_report_file"}
_POLLED = {"create_video", "get_video", "create_encoder", "judge_encoder", "get_encoder"}
_KEPT = {"get_video_content", "get_report", "get_report_file"}
"""Operations whose answers a client may keep, and revalidate by their ETag."""


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _number(description: str, kind: str = "integer") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


_REQUEST_ID = {"x-request-id": _text("The caller's X-Request-Id, or a new id; the log has it")}
_RETRY_AFTER = {"Retry-After": _number("Seconds after which to try again")}
_CACHING = {
    "ETag": _text("The file's version"),
    "Cache-Control": _text("`private`: kept by the client alone"),
}


def headers_of(operation: str) -> dict[str, Any]:
    """Return the headers of an operation's successful answers."""
    headers: dict[str, Any] = {**_REQUEST_ID}
    if operation in _POLLED:
        headers["openai-poll-after-ms"] = _number("Milliseconds to wait before looking again")
    if operation in _WAITING:
        headers["x-video-id"] = _text("The video's id")
        headers["x-model"] = _text("The model that made it")
        headers["x-inference-time-s"] = _number("Seconds from first step to frames", "number")
    if operation in _KEPT or operation in _WAITING:
        headers |= _CACHING | {"Content-Disposition": _text("The file's name")}
    if operation == "get_video_content":
        headers["Last-Modified"] = _text("Time at which the video was finished")
        headers["Accept-Ranges"] = _text("`bytes`")
    return headers


def more_answers(operation: str) -> dict[str, Any]:
    """Return answers that are neither 200 nor an error."""
    answers: dict[str, Any] = {}
    if operation == "get_video_content":
        binary = {"schema": {"type": "string", "format": "binary"}}
        answers["206"] = {
            "description": "The bytes that Range asks for",
            "headers": {**headers_of(operation), "Content-Range": _text("Their place in the file")},
            "content": {"video/mp4": binary, "image/webp": binary},
        }
    if operation in _KEPT:
        answers["304"] = {
            "description": "The client has it already",
            "headers": {**_REQUEST_ID, **_CACHING},
        }
    return answers


def errors_of(path: str, operation: dict[str, Any], *, is_public: bool) -> dict[str, Any]:
    """Return the errors that an operation can answer, and `default` for any other."""
    name = operation["operationId"]
    statuses = [400]
    statuses += [] if is_public else [401, 403]
    statuses += (
        [404] if "{" in path or name == "get_usage" or "Idempotency-Key" in str(operation) else []
    )
    statuses += [409] if name in _CONFLICTS else []
    statuses += [413, 415] if "requestBody" in operation else []
    statuses += [422] if name in _CREATING else []
    statuses += [429] if name in _CREATING | _CHANGING else []
    answers = {str(status): _error(status, _ERRORS[status]) for status in [*statuses, 503]}
    if name == "get_video_content":
        answers["416"] = _error(416, "Range asks for bytes that the file does not have")
    return {**answers, "default": _error(0, "Any other error")}


def _error(status: int, description: str) -> dict[str, Any]:
    headers: dict[str, Any] = {**_REQUEST_ID}
    if status == 401:
        headers["WWW-Authenticate"] = _text("`Bearer`")
    if status in (429, 503):
        headers |= _RETRY_AFTER
    return {"description": description, "headers": headers, "content": _ERROR}


def _probe(name: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "get": {
            "tags": ["operation"],
            "operationId": name,
            "summary": summary,
            "description": description,
            "responses": {"200": {"description": "Yes", "content": {"text/plain": {}}}},
        }
    }


PROBES = {
    "/livez": _probe("livez", "The process answers", "BentoML's probe; needs no key."),
    "/healthz": _probe("healthz", "The process answers", "The same as `/livez`."),
    "/readyz": _probe("readyz", "The models are loaded", "BentoML's probe; needs no key."),
}
"""Paths that BentoML answers."""
