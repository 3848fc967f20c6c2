"""Encoders whose audit failed: flagged or refused, never replaced; and who may read what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from encoders import Card
from server.storage.records import VideoRecord
from tests.server.audit_help import fail_audit
from tests.server.conftest import MakeClient
from tests.server.help import (
    Client,
    assert_error,
    bearer,
    device_held,
    publish,
    wait_for,
    write_keys,
)
from tests.server.set_help import OPEN, make_set, publish_members

ADMIN, BOUND = bearer("secret-admin"), bearer("secret-bound")
VIDEO = {"prompt": "a meadow", "steps": 1, "frames": 1}
MAKES_VIDEOS = ("/v1/videos", "/v1/videos/sync", "/generate")
REASON = "pogo (character) is gone from 3%."


@pytest.fixture(scope="module")
def client(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a server that refuses, with the failed encoder "bad" and its alias."""
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        bound={"role": "user", "encoders": ["policy"], "default_encoder": "policy"},
    )
    client = make_client(keys_file=keys, audit_policy="refuse", ad_hoc_sets=True)
    fail_audit(client.runtime, publish(client.runtime, "bad").ref, REASON)
    client.put("/v1/aliases/policy", json={"encoder": "bad"}, headers=ADMIN).raise_for_status()
    return client


@pytest.mark.parametrize("path", MAKES_VIDEOS)
def test_no_request_gets_a_failed_encoder_nor_the_base(client: Client, path: str) -> None:
    before = len(client.runtime.records.all(VideoRecord))
    model = client.runtime.loaded.backbone.name
    for fields, headers in (
        ({"encoder": "bad"}, ADMIN),
        ({"encoder": "policy"}, ADMIN),
        ({"encoder": "policy"}, BOUND),
        ({}, BOUND),  # its default
        ({"model": f"{model}:policy"}, BOUND),
    ):
        refused = client.post(path, json={**VIDEO, **fields}, headers=headers)
        assert_error(refused, 409, code="encoder_failed_audit", says="has failed its audit")
        assert REASON not in refused.text
        if "model" in fields:
            assert refused.json()["error"]["param"] == "model"
    assert len(client.runtime.records.all(VideoRecord)) == before
    assert client.post(path, json={**VIDEO, "encoder": "base"}, headers=ADMIN).is_success


def test_it_is_listed_as_not_usable(client: Client) -> None:
    assert client.get("/v1/encoders/bad", headers=ADMIN).json()["usable"] is False
    models = {one["id"]: one for one in client.get("/v1/models", headers=ADMIN).json()["data"]}
    name = client.runtime.loaded.backbone.name
    assert not models[f"{name}:bad"]["usable"]
    assert not models[f"{name}:policy"]["usable"]
    assert models[name]["usable"]


def test_a_bound_key_learns_the_state_and_no_more(client: Client) -> None:
    whole = client.get("/v1/encoders/bad", headers=ADMIN).json()["audit"]
    assert (whole["state"], whole["reason"]) == ("failed", REASON)
    assert whole["served"] == {"judged": 0, "shown": 0}
    seen = client.get("/v1/encoders/bad", headers=BOUND).json()["audit"]
    assert seen.pop("state") == "failed"
    assert set(seen.values()) == {None}
    [listed] = client.get("/v1/encoders", headers=BOUND).json()["data"]
    assert listed["audit"] == {"state": "failed", **seen}
    assert_error(client.get("/v1/encoders/bad/audit", headers=BOUND), 403)
    assert_error(client.get("/v1/encoders/other/audit", headers=BOUND), 404)
    assert client.get("/v1/encoders/bad/audit", headers=ADMIN).json()["facts"]["state"] == "failed"


def test_a_video_that_was_accepted_before_fails_and_is_not_made(client: Client) -> None:
    card = publish(client.runtime, "later", seed=5)
    with device_held(client.runtime):
        fields = {**VIDEO, "encoder": "later", "seed": 1}
        for _ in range(client.runtime.settings.videos_in_flight + 1):  # the last one must wait
            asked = client.post("/v1/videos", json=fields, headers=ADMIN).json()
        fail_audit(client.runtime, card.ref)
    ended = wait_for(client, f"/v1/videos/{asked['id']}", key="secret-admin")
    assert (ended["status"], ended["error"]["code"]) == ("failed", "encoder_failed_audit")


def test_a_set_with_a_failed_member_is_refused(make_client: MakeClient) -> None:
    client = make_client(audit_policy="refuse", ad_hoc_sets=True)
    names = publish_members(client, "member", OPEN, OPEN)
    make_set(client, "both", names)
    assert client.get("/v1/encoders/both").json()["usable"] is True
    fail_audit(client.runtime, client.runtime.loaded.store.card(names[1]).ref)
    assert client.get("/v1/encoders/both").json()["usable"] is False
    for name in ("both", "+".join(names)):
        refused = client.post("/v1/videos", json={**VIDEO, "encoder": name})
        assert_error(refused, 409, code="encoder_failed_audit")
        assert names[1] not in refused.json()["error"]["message"].replace("+".join(names), "")
    assert client.post("/v1/videos", json={**VIDEO, "encoder": names[0]}).status_code == 200


def test_by_default_a_failed_encoder_is_flagged_only(make_client: MakeClient) -> None:
    client = make_client()
    card: Card = publish(client.runtime, "bad")
    assert client.get("/v1/encoders/bad").json()["audit"] is None
    fail_audit(client.runtime, card.ref)
    shown: dict[str, Any] = client.get("/v1/encoders/bad").json()
    assert (shown["audit"]["state"], shown["usable"]) == ("failed", True)
    made = client.post("/v1/videos", json={**VIDEO, "encoder": "bad"}).json()
    assert wait_for(client, f"/v1/videos/{made['id']}")["status"] == "completed"


def test_the_verdict_goes_with_the_encoder_and_not_with_its_id(make_client: MakeClient) -> None:
    client = make_client(audit_policy="refuse")
    fail_audit(client.runtime, publish(client.runtime, "bad", seed=1).ref)
    assert client.delete("/v1/encoders/bad").status_code == 200
    publish(client.runtime, "copy", seed=1)
    publish(client.runtime, "bad", seed=2)
    refused = client.post("/v1/videos", json={**VIDEO, "encoder": "copy"})
    assert_error(refused, 409, code="encoder_failed_audit")
    assert client.post("/v1/videos", json={**VIDEO, "encoder": "bad"}).status_code == 200


def test_an_encoder_without_an_audit_has_a_supplement_that_says_so(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(data_dir=tmp_path)
    publish(client.runtime, "new")
    facts = client.get("/v1/encoders/new/audit").json()["facts"]
    assert (facts["state"], facts["forgotten"], facts["audited_at"]) == ("unaudited", None, None)
    assert facts["served"] == {"judged": 0, "shown": 0}
