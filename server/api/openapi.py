"""The OpenAPI document: what FastAPI finds in the routes, and what it cannot know.

FastAPI describes the bodies that it parses. Ours come as JSON or as a form and are read by
`server.api.request_parsing`, so their schemas are added here; and so are the keys, the errors, the
headers and the routes that BentoML answers.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from server.api.encoder_requests import EncoderRequest
from server.api.openapi_answers import PROBES, errors_of, headers_of, more_answers
from server.auth.guard import PUBLIC_PATHS

_REF_TEMPLATE = "#/components/schemas/{model}"
_BODIES: dict[str, type[BaseModel]] = {}
"""Models that routes read themselves, as `request_body` has seen them."""
_METHODS = ("get", "post", "put", "delete")

_ENCODER_ID = r"^[a-z0-9][a-z0-9._-]{0,62}$"
_VIDEO_ID = r"^video_[0-9a-f]{32}$"
_PATTERNS = {"encoder_id": _ENCODER_ID, "name": _ENCODER_ID, "video_id": _VIDEO_ID}
"""Patterns of ids by the names of path parameters."""

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and request give the same job, however often they are sent",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of this server. A server without keys, which is on loopback, needs none.",
}
_ENCODER_FORM = "EncoderForm"
"""Schema of an encoder's form: the fields of `EncoderRequest`, and files."""
_FILES = {
    "type": "array",
    "items": {"type": "string", "format": "binary"},
    "description": "PNG, JPEG or WebP pictures of the concept",
}


def request_body(
    model: type[BaseModel], examples: dict[str, Any], *, is_idempotent: bool = False
) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that takes `model` as JSON or as a form.

    Args:
        model: the body's fields.
        examples: bodies by what they show; the first is a form's example too.
        is_idempotent: True for a route that takes no Idempotency-Key, since repeats change nothing.
    """
    _BODIES[model.__name__] = model
    as_json = {"$ref": _REF_TEMPLATE.format(model=model.__name__)}
    form = as_json
    if model is EncoderRequest:
        form = {"$ref": _REF_TEMPLATE.format(model=_ENCODER_FORM)}
    shown = {title: {"summary": title, "value": body} for title, body in examples.items()}
    content = {
        "application/json": {"schema": as_json, "examples": shown},
        "multipart/form-data": {"schema": form, "example": next(iter(examples.values()))},
    }
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [] if is_idempotent else [_IDEMPOTENCY_KEY],
    }


def operation_id(route: APIRoute) -> str:
    """Return the name of the route's function: clients are generated with it."""
    return route.name


class DocumentedApp(FastAPI):
    """A FastAPI app with a complete document."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made at the first call."""
        if self.openapi_schema is None:
            with warnings.catch_warnings():
                # HEAD has the id of its GET, and is left out of the document below.
                warnings.filterwarnings("ignore", message="Duplicate Operation ID")
                document = copy.deepcopy(super().openapi())
            self.openapi_schema = _complete(document)
        return self.openapi_schema


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    _, bodies = models_json_schema(
        [(model, "validation") for model in _BODIES.values()],
        by_alias=False,
        ref_template=_REF_TEMPLATE,
    )
    schemas = document["components"]["schemas"]
    schemas.update(bodies["$defs"])
    del schemas["VideoRequest"]["properties"]["input_reference"]  # it is refused
    request = schemas["EncoderRequest"]
    fields = {**request["properties"], "images": _FILES}
    schemas[_ENCODER_FORM] = {**request, "title": _ENCODER_FORM, "properties": fields}
    for name in ("Video", "DeletedVideo"):
        schemas[name]["properties"]["id"]["pattern"] = _VIDEO_ID
    schemas["EncoderObject"]["properties"]["id"]["pattern"] = _ENCODER_ID
    document["components"]["securitySchemes"] = {"key": _KEY}
    document["security"] = [{"key": []}]
    document["paths"].update(PROBES)
    for path, operation in _operations(document):
        if path in PUBLIC_PATHS:
            operation["security"] = []
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] in _PATTERNS:
                parameter["schema"]["pattern"] = _PATTERNS[parameter["name"]]
        _describe_answers(path, operation)
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each path with each of its operations. Drop HEAD: it answers as GET does."""
    for path, methods in document["paths"].items():
        methods.pop("head", None)
        for method in _METHODS:
            if method in methods:
                yield path, methods[method]


def _describe_answers(path: str, operation: dict[str, Any]) -> None:
    answers = {
        status: answer
        for status, answer in operation["responses"].items()
        if str(status).startswith("2")
    }
    for answer in answers.values():
        for kind, media in answer.get("content", {}).items():
            media.pop("itemSchema", None)  # of OpenAPI 3.2
            if kind.startswith(("video/", "image/", "application/zip")):
                media["schema"] = {"type": "string", "format": "binary"}
            elif kind == "text/event-stream":
                media["schema"] = {
                    "type": "string",
                    "description": "Events: `event` is the status, `data` the object as JSON",
                }
            elif kind.startswith("text/"):
                media.setdefault("schema", {"type": "string"})
        answer["headers"] = headers_of(operation["operationId"])
    operation["responses"] = {
        **answers,
        **more_answers(operation["operationId"]),
        **errors_of(path, operation, is_public=path in PUBLIC_PATHS),
    }
