"""The OpenAPI document: request bodies that routes read themselves, described as components.

FastAPI describes the bodies it parses. Ours come as JSON or as a form and are read by
`server.api.request_parsing`, so their schemas are added here.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from server.api.request_models import EncoderRequest, VideoRequest

_REF_TEMPLATE = "#/components/schemas/{model}"
_BODIES = (VideoRequest, EncoderRequest)


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that takes `model` as JSON or as a form."""
    schema = {"$ref": _REF_TEMPLATE.format(model=model.__name__)}
    kinds = ("application/json", "multipart/form-data")
    return {
        "requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
    }


class DocumentedApp(FastAPI):
    """A FastAPI app whose document has the schemas that `request_body` refers to."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document. FastAPI keeps it after the first call."""
        document = super().openapi()
        _, bodies = models_json_schema(
            [(model, "validation") for model in _BODIES],
            by_alias=False,
            ref_template=_REF_TEMPLATE,
        )
        document["components"]["schemas"].update(bodies["$defs"])
        return document
