"""The document at `/openapi.json`: complete, and with the settings of unlearning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.api.app import ROUTES
from server.auth.guard import PUBLIC_PATHS
from tests.server.conftest import MakeClient
from tests.server.help import Client, publish, settings_for


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


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described_under_the_name_of_its_function(document: dict[str, Any]) -> None:
    described = {(path, method) for path, method, _ in operations(document)}
    pages = {"/", "/docs", "/openapi.json", "/studio/{version}/{name:path}"}
    served = {
        (route.path, method.lower())
        for module in ROUTES
        for route in module.router.routes
        if isinstance(route, APIRoute) and route.path not in pages
        for method in (route.methods or set()) - {"HEAD"}  # it answers as GET does
    }
    assert len(served) >= 20
    assert served <= described
    assert {path for path, _ in described - served} == {"/livez", "/readyz", "/healthz"}
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert {"create_video", "list_encoders", "generate", "put_alias"} <= set(names)
    assert all(name.isidentifier() for name in names)


def test_keys_are_asked_for_where_one_is_needed(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["security"] == [{"key": []}]
    for path, _, operation in operations(document):
        assert (operation.get("security") == []) == (path in PUBLIC_PATHS), path
        assert ("401" in operation["responses"]) == (path not in PUBLIC_PATHS), path


def test_every_answer_has_a_schema_and_every_error_the_one_shape(document: dict[str, Any]) -> None:
    shape = {"$ref": "#/components/schemas/ErrorAnswer"}
    for path, method, operation in operations(document):
        answers = operation["responses"]
        assert {"default", "503"} <= set(answers), path
        for status, answer in answers.items():
            if status == "default" or int(status) >= 400:
                assert answer["content"] == {"application/json": {"schema": shape}}, path
            else:
                for kind, media in answer.get("content", {}).items():
                    assert media["schema"], (path, method, kind)
                    is_binary = kind.split("/")[0] in ("video", "image") or kind.endswith("zip")
                    assert is_binary == (media["schema"].get("format") == "binary"), (path, kind)
            assert "x-request-id" in answer["headers"]
    streams = document["paths"]["/v1/videos/{video_id}/events"]["get"]["responses"]["200"]
    assert streams["content"]["text/event-stream"]["schema"]["type"] == "string"


def test_ids_have_their_patterns(document: dict[str, Any]) -> None:
    ids = [
        parameter
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path" and parameter["name"] in ("encoder_id", "video_id", "name")
    ]
    assert len(ids) >= 10
    assert all("pattern" in parameter["schema"] for parameter in ids)


def test_every_example_works_as_it_stands(make_client: MakeClient) -> None:
    client = make_client(max_probes=2, min_base_rate=0, ways_pictures=8)
    for seed, name in enumerate(("no-mira", "no-neonix"), 1):  # members of the example's set
        publish(client.runtime, name, seed=seed, threshold=1.0)
    document = client.get("/openapi.json").json()
    assert document["servers"] == [{"url": "/"}]
    ids = {"name": "current"}
    sent = 0
    order = (
        *("/v1/encoders", "/v1/encoders/ways", "/v1/videos", "/v1/videos/sync"),
        *("/generate", "/v1/aliases/{name}"),
    )
    for path in order:
        [(method, operation)] = [
            (method, operation)
            for method, operation in document["paths"][path].items()
            if method in ("post", "put")
        ]
        content = operation["requestBody"]["content"]
        media = content["application/json"]
        examples = [example["value"] for example in media.get("examples", {}).values()]
        examples += resolve(document, media["schema"]).get("examples", [])
        assert examples, path
        for example in examples:
            answer = client.request(method, path.format(**ids), json=example)
            assert answer.status_code == 200, answer.text
            sent += 1
            if path == "/v1/encoders":  # making them takes a minute: the slow tests do that
                made = f"{path}/{answer.json()['id']}"
                assert client.delete(made).status_code == 200
        if "multipart/form-data" in content:
            fields = dict(content["multipart/form-data"]["example"])
            form = {name: (None, str(value)) for name, value in fields.items()}
            answer = client.request(method, path.format(**ids), files=form)
            assert answer.status_code == 200, answer.text
        if path == "/v1/encoders":
            client.delete(f"{path}/no-pogo")
            publish(client.runtime, "no-pogo")
    assert sent >= 10


def test_a_request_for_the_document_of_another_path_names_it(tmp_path: Path) -> None:
    client = Client(settings_for(tmp_path, tmp_path, root_path="/video"))
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/video"}]
    assert client.get("/video/openapi.json").json()["servers"] == [{"url": "/video"}]
