"""Routes of `/v1/aliases`: names that are pointed from one encoder to another."""

from __future__ import annotations

import pytest

from tests.server.help import Client, assert_error, publish


def test_aliases_are_switched_listed_and_deleted(client: Client) -> None:
    publish(client.runtime, "first", seed=5)
    publish(client.runtime, "second", seed=6)
    for target in ("first", "second"):
        answer = client.put("/v1/aliases/policy", json={"encoder": target})
        assert answer.json() == {"id": "policy", "object": "alias", "encoder": target}
        assert client.get("/v1/aliases/policy").json()["encoder"] == target
    assert "policy" in {alias["id"] for alias in client.get("/v1/aliases").json()["data"]}
    root = client.runtime.loaded.backbone.name
    model = client.get(f"/v1/models/{root}:policy").json()
    assert (model["object"], model["encoder"], model["parent"]) == ("model", "second", root)
    assert_error(client.put("/v1/aliases/first", json={"encoder": "second"}), 409)
    assert_error(client.put("/v1/aliases/base", json={"encoder": "second"}), 400)
    assert_error(client.put("/v1/aliases/x", json={"encoder": "policy"}), 404)
    client.delete("/v1/encoders/second")
    dangling = client.post("/v1/videos", json={"prompt": "pogo", "encoder": "policy"})
    assert_error(dangling, 404, code="encoder_not_found", says="second")
    assert f"{root}:policy" not in {m["id"] for m in client.get("/v1/models").json()["data"]}
    assert client.delete("/v1/aliases/policy").json()["deleted"] is True
    assert_error(client.delete("/v1/aliases/policy"), 404, code="alias_not_found")


def test_an_alias_points_to_a_published_encoder_only(client: Client) -> None:
    publish(client.runtime, "target", seed=7)
    assert client.put("/v1/aliases/named", json={"encoder": "target"}).status_code == 200
    for other in ("base", "named"):
        for name in ("x", "named"):
            refused = client.put(f"/v1/aliases/{name}", json={"encoder": other})
            assert_error(refused, 404, code="encoder_not_found", says=f"{other!r} is ")
            error = refused.json()["error"]
            assert "an alias points to a published encoder only" in error["message"]
            assert error["param"] == "encoder"
    assert client.get("/v1/aliases/named").json()["encoder"] == "target"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", b""),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 5000),
        ("application/json", b'{"encoder": NaN}'),
        ("application/json", b"[]"),
        ("application/json; charset=utf-16", b"{}"),
        ("multipart/form-data", b"x"),
        ("text/plain", b"x"),
    ],
)
def test_an_aliass_body_is_refused_as_that_of_an_encoder(
    client: Client, kind: str, content: bytes
) -> None:
    headers = {"Content-Type": kind}
    refused = client.put("/v1/aliases/x", content=content, headers=headers)
    elsewhere = client.post("/v1/encoders", content=content, headers=headers)
    assert refused.status_code == elsewhere.status_code
    assert_error(refused, 415 if kind[-6:] in ("utf-16", "/plain") else 400)
    assert refused.json() == elsewhere.json()


def test_an_aliass_fields_are_checked(client: Client) -> None:
    for body, code, param in (
        ({}, "missing_field", "encoder"),
        ({"encoder": "x", "other": 1}, "unknown_field", "other"),
        ({"encoder": 1}, "invalid_value", "encoder"),
        ({"encoder": "../x"}, "invalid_value", "encoder"),
    ):
        refused = client.put("/v1/aliases/x", json=body)
        assert_error(refused, 400, code=code)
        assert refused.json()["error"]["param"] == param


def test_an_alias_is_made_by_a_form_too(client: Client) -> None:
    publish(client.runtime, "formed", seed=8)
    answer = client.put("/v1/aliases/by-form", data={"encoder": "formed"})
    assert answer.json() == {"id": "by-form", "object": "alias", "encoder": "formed"}
