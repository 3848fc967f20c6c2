"""The document at `/openapi.json`: complete, and with the settings of unlearning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.help import Client, settings_for


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the document of a server that has not started: no model is needed."""
    empty = tmp_path_factory.mktemp("empty")
    return Client(settings_for(empty, empty)).get("/openapi.json").json()


def references(node: Any) -> Iterator[str]:
    """Yield every `$ref` below `node`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return `node`, or the object that its `$ref` points to. Raise KeyError if there is none."""
    while "$ref" in node:
        root, *steps = node["$ref"].split("/")
        assert root == "#", node
        node = document
        for step in steps:
            node = node[step]
    return node


def body_of(document: dict[str, Any], path: str, kind: str) -> dict[str, Any]:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    return resolve(document, content[kind]["schema"])


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) >= 20
    for reference in found:
        assert isinstance(resolve(document, {"$ref": reference}), dict), reference


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data"])
def test_the_bodies_that_routes_read_themselves_are_described(
    document: dict[str, Any], kind: str
) -> None:
    for path in ("/v1/videos", "/v1/videos/sync"):
        fields = body_of(document, path, kind)["properties"]
        assert {"prompt", "model", "encoder", "seed", "steps", "size"} <= set(fields)
    fields = body_of(document, "/v1/encoders", kind)["properties"]
    assert {"concept", "kind", "concepts", "parent", "settings", "gate"} <= set(fields)
    concept = resolve(document, fields["concepts"]["items"])
    assert set(concept["properties"]) == {"concept", "kind", "synonyms"}


def test_the_settings_of_unlearning_show_their_ranges(document: dict[str, Any]) -> None:
    fields = body_of(document, "/v1/encoders", "application/json")["properties"]
    settings = resolve(document, fields["settings"])["properties"]
    assert {"method", "steps", "learning_rate", "rank", "layers", "seed"} <= set(settings)
    assert {"redirect", "ascent"} <= set(settings["method"]["enum"])
    steps = settings["steps"]
    assert {"type": "integer", "minimum": 1, "maximum": 100_000} in steps["anyOf"]
    assert "steps" in steps["description"]
