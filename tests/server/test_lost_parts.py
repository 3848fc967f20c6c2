"""Encoders and sets that have lost a part: shown as unusable; no request is to blame."""

from __future__ import annotations

import pytest

from tests.server.help import Client, assert_error, device_held, publish, wait_for
from tests.server.set_help import BODY, CLOSED, GATE, publish_members
from tests.server.stored_help import encoder_folder


def usable(client: Client, name: str) -> set[bool]:
    """Return what all answers about an encoder say of `usable`."""
    model = f"{client.runtime.loaded.backbone.name}:{name}"
    encoders = client.get("/v1/encoders", params={"limit": 100}).json()["data"]
    models = client.get("/v1/models").json()["data"]
    alone = [client.get(path).json() for path in (f"/v1/encoders/{name}", f"/v1/models/{model}")]
    listed = [one for one in (*encoders, *models) if one["id"] in (name, model)]
    assert len(listed) == 2
    return {one["usable"] for one in (*listed, *alone)}


def test_a_set_that_has_lost_a_member_is_shown_to_be_unusable(client: Client) -> None:
    members = publish_members(client, "hint", CLOSED, CLOSED)
    with device_held(client.runtime):
        body = {"id": "hint", "compose": members, "gate": GATE}
        assert client.post("/v1/encoders", json=body).json()["usable"] is False
    assert wait_for(client, "/v1/encoders/hint")["usable"] is True
    assert usable(client, "hint") == usable(client, "hint-1") == {True}
    assert client.get("/v1/models").json()["data"][0]["usable"] is True  # the base
    client.delete("/v1/encoders/hint-0?force=true").raise_for_status()
    assert usable(client, "hint") == {False}
    publish(client.runtime, "hint-0", seed=77, threshold=CLOSED)
    assert usable(client, "hint") == {False}
    assert usable(client, "hint-0") == {True}
    client.delete("/v1/encoders/hint-0").raise_for_status()
    publish_members(client, "hint", CLOSED)  # the same encoder again
    assert usable(client, "hint") == {True}
    files = encoder_folder(client.runtime, "hint-0")
    files.write("card.json", files.read("card.json")[:-40])
    assert usable(client, "hint") == {False}
    assert client.delete("/v1/encoders/hint-0?force=true").status_code == 200


@pytest.mark.parametrize("is_missing", [False, True], ids=["cut", "missing"])
def test_lost_tensors_are_no_fault_of_a_request(client: Client, is_missing: bool) -> None:
    name = f"lost{is_missing:d}"
    publish(client.runtime, name, seed=90 + is_missing, threshold=CLOSED)
    files = encoder_folder(client.runtime, name)
    (tensors,) = [path for path in files.names() if path.endswith(".safetensors")]
    files.remove(tensors) if is_missing else files.write(tensors, files.read(tensors)[:-100])
    for route in ("/v1/videos/sync", "/generate"):
        refused = client.post(route, json={**BODY, "encoder": name})
        assert_error(refused, 409)
        assert refused.headers["x-should-retry"] == "false"
