"""Judging of an encoder that was published without measures, through the API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from encoders import EncoderNotFound
from encoders.judgement import Judgement
from server.runtime import Runtime
from tests.server.help import SERVER_TIMEOUT_S, Client, assert_error, bearer, publish, write_keys
from tests.server.stored_help import encoder_folder
from unlearn.report.model import Report

FAST = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}


def wait_judged(client: Client, encoder_id: str, **headers: Any) -> dict[str, Any]:
    """Wait until the encoder's judging has ended, and return the encoder."""
    until = time.monotonic() + SERVER_TIMEOUT_S
    while True:
        encoder = client.get(f"/v1/encoders/{encoder_id}", **headers).json()
        assert encoder["status"] == "published"
        if encoder["phase"] != "judging":
            return encoder
        assert time.monotonic() < until, encoder
        time.sleep(0.05)


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    """Return a server without keys whose judging is short."""
    return make_client(**FAST)


def test_an_imported_encoder_is_judged_and_stays_what_it_is(client: Client) -> None:
    card = publish(client.runtime, "imported")
    before = client.get("/v1/encoders/imported").json()
    assert (before["judged"], before["measures"], before["phase"]) == (False, {}, "published")
    assert client.get("/v1/encoders/imported/report").status_code == 404
    accepted = client.post("/v1/encoders/imported/judge", json={"gate": {"min_forget_rate": 0.5}})
    assert accepted.status_code == 200
    assert (accepted.json()["status"], accepted.json()["phase"]) == ("published", "judging")
    assert accepted.json()["progress"] < 100
    done = wait_judged(client, "imported")
    assert done["judged"]
    assert (done["phase"], done["progress"], done["error"]) == ("published", 100, None)
    assert done["measures"]["base_n"] == 2
    assert done["gate"] == done["measures"]["gate"]
    assert done["gate"]["min_forget_rate"] == 0.5
    assert done["gate"]["max_probes"] == 2
    for same in ("digest", "base", "concepts", "settings", "created_at", "completed_at"):
        assert done[same] == before[same]
    # It is in the store and not only in the database, and the encoder's own card is as it was.
    assert client.runtime.loaded.store.card("imported").measures == done["measures"]
    assert encoder_folder(client.runtime, "imported").read("card.json") == card.to_json()
    listed = {one["id"]: one for one in client.get("/v1/encoders").json()["data"]}
    assert listed["imported"]["judged"]
    report = Report.model_validate(client.get("/v1/encoders/imported/report?format=json").json())
    assert report.judged_at is not None
    assert report.date == report.judged_at > card.created_at
    assert report.card.measures == done["measures"]
    assert report.losses == []
    assert client.get("/v1/encoders/imported/report?format=zip").status_code == 200
    for path in ("judge", "judge/"):
        again = client.post(f"/v1/encoders/imported/{path}", json={})
        assert again.status_code in (404, 409)
    again = client.post("/v1/encoders/imported/judge", json={})
    assert_error(again, 409, code="encoder_judged", says="judged already")


def test_an_encoder_that_fails_the_gate_is_judged_and_stays_published(client: Client) -> None:
    publish(client.runtime, "bad", seed=2)
    gate = {"min_forget_rate": 1.0, "min_base_rate": 1.0, "max_retain_drop": 0.0}
    assert client.post("/v1/encoders/bad/judge", json={"gate": gate}).status_code == 200
    done = wait_judged(client, "bad")
    assert done["judged"]
    assert done["error"] is None
    page = client.get("/v1/encoders/bad/report").text
    assert "did not pass" in page or "could not be measured" in page


def test_what_cannot_be_judged_is_refused(client: Client) -> None:
    assert_error(client.post("/v1/encoders/nobody/judge", json={}), 404, code="encoder_not_found")
    publish(client.runtime, "waiting", seed=3)
    path = "/v1/encoders/waiting/judge"
    for body, param in (({"gate": {"max_probes": 0}}, "gate.max_probes"), ({"gat": {}}, "gat")):
        refused = client.post(path, json=body)
        assert_error(refused, 400)
        assert refused.json()["error"]["param"] == param
    assert not client.get("/v1/encoders/waiting").json()["judged"]


def test_it_is_deleted_while_it_is_judged_and_can_be_asked_for_again(client: Client) -> None:
    for _ in range(2):
        publish(client.runtime, "short", seed=4)
        assert client.post("/v1/encoders/short/judge", json={}).status_code == 200
        busy = client.post("/v1/encoders/short/judge", json={})
        if busy.status_code != 409 or busy.json()["error"]["code"] != "encoder_judged":
            assert_error(busy, 409, code="encoder_not_ready", says="being judged")
        assert client.delete("/v1/encoders/short").status_code == 200
        assert_error(client.get("/v1/encoders/short"), 404)


def test_a_judgement_belongs_to_one_encoder(client: Client) -> None:
    store = client.runtime.loaded.store
    first = publish(client.runtime, "other", seed=5)
    store.delete("other")
    second = publish(client.runtime, "other", seed=6)
    judgement = Judgement(judged_at=first.created_at, judge="x", measures={"concepts": {}})
    with pytest.raises(EncoderNotFound):
        store.judge(first, judgement, {})
    assert store.card("other").measures == {}
    store.judge(second, judgement, {"a.png": b"png"})
    assert store.card("other").measures == {"concepts": {}}
    assert store.report("other", "a.png") == b"png"
    _damage(client.runtime, "other")
    assert store.card("other").measures == {}
    assert store.load("other").card.digest == second.digest


def _damage(runtime: Runtime, encoder_id: str) -> None:
    folder = encoder_folder(runtime, encoder_id)
    [name] = [name for name in folder.names() if name.endswith("/judgement.json")]
    folder.write(name, folder.read(name)[:20])


def test_judging_takes_an_admins_key(
    make_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        user={"role": "user", "encoders": ["*"]},
    )
    locked: Client = make_client(keys_file=keys, **FAST)
    publish(locked.runtime, "imported")
    path = "/v1/encoders/imported/judge"
    assert_error(locked.post(path, json={}, headers=bearer("secret-user")), 403)
    assert_error(locked.post(path, json={}), 401)
    headers = bearer("secret-admin")
    assert locked.post(path, json={}, headers=headers).status_code == 200
    assert wait_judged(locked, "imported", headers=headers)["judged"]
