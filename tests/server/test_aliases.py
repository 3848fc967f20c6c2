"""Routes of `/v1/aliases`: names that are pointed from one encoder to another."""

from __future__ import annotations

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
