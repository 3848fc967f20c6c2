"""Routes of `/v1/encoders` over the tiny model, with real optimising and judging.

The gate lets every encoder through, since a random model shows nothing that could be forgotten.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.storage.records import EncoderRecord
from tests.server.help import Client, assert_error, device_held, publish, wait_for
from tests.server.stored_help import encoder_folder
from video import clip

BODY = {"concept": "pogo", "kind": "character", "settings": {"steps": 3}}
FAST = {
    "min_base_rate": 0.0,
    "max_probes": 2,
    "judged_videos": 1,
}


def test_a_budget_in_seconds_ends_the_optimisation(client: Client) -> None:
    settings = {"steps": 1000, "max_seconds": 1}
    body = {**BODY, "id": "in-a-second", "settings": settings}
    queued = client.post("/v1/encoders", json=body)
    assert queued.status_code == 200, queued.text
    assert queued.json()["settings"]["max_seconds"] == 1
    done = wait_for(client, "/v1/encoders/in-a-second")
    assert done["status"] == "published", done
    card = client.runtime.loaded.store.card("in-a-second")
    assert card.settings["max_seconds"] == 1
    assert 1 <= card.settings["steps_done"] < 1000


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    return make_client(**FAST)


def test_an_encoder_goes_through_its_phases_and_is_used_in_the_next_request(
    client: Client,
) -> None:
    answer = client.post("/v1/encoders", json={**BODY, "id": "no-pogo", "synonyms": ["robot"]})
    assert answer.status_code == 200, answer.text
    queued = answer.json()
    assert (queued["id"], queued["object"], queued["status"]) == ("no-pogo", "encoder", "queued")
    assert queued["settings"]["method"] == "redirect"
    seen: dict[str, int] = {}
    last = -1
    while True:
        now = client.get("/v1/encoders/no-pogo").json()
        assert now["progress"] >= last
        last = now["progress"]
        seen.setdefault(now["phase"], now["progress"])
        if now["status"] not in ("queued", "in_progress"):
            break
        assert set(now["phases"]) == {*("naming", "ways", "images", "optimising", "judging")}
        time.sleep(0.01)
    assert now["status"] == "published", now
    # A redirection needs no images: that phase may be over between two looks.
    assert {"judging", "published"} <= set(seen) <= {"queued", *now["phases"], "published"}
    assert now["progress"] == 100
    for name in ("forget_rate", "base_rate", "retain_rate", "base_retain_rate"):
        assert 0 <= now["measures"][name] <= 1
    assert now["digest"].startswith("sha256:")
    assert now["concepts"] == [{"name": "pogo", "kind": "character", "synonyms": ["robot"]}]

    store = client.runtime.loaded.store
    assert store.report("no-pogo", "report.html")
    assert store.report("no-pogo", "report.json")
    video = {"prompt": "pogo", "encoder": "no-pogo", "steps": 1, "frames": 1}
    video = client.post("/v1/videos", json=video).json()
    done = wait_for(client, f"/v1/videos/{video['id']}")
    assert done["status"] == "completed"
    data = client.get(f"/v1/videos/{video['id']}/content").content
    assert clip.read_provenance(data)["encoder_identity"] == now["identity"]
    assert client.runtime.jobs.context.workspace_ids() == []
    assert client.runtime.loaded.staging.cards() == []


def test_several_concepts_and_a_parent(client: Client) -> None:
    two = [{"concept": "pogo", "kind": "character"}, {"concept": "neonix", "kind": "style"}]
    body = {"id": "no-two", "concepts": two, "settings": {"steps": 2}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    done = wait_for(client, "/v1/encoders/no-two")
    assert done["status"] == "published", done
    assert [concept["name"] for concept in done["concepts"]] == ["pogo", "neonix"]
    client.put("/v1/aliases/policy", json={"encoder": "no-two"})
    child = {"id": "no-three", "concept": "balloon", "kind": "object", "parent": "policy"}
    made = client.post("/v1/encoders", json={**child, "settings": {"steps": 2}}).json()
    assert made["parent"] == "no-two"
    done = wait_for(client, "/v1/encoders/no-three")
    assert (done["status"], done["parent"]) == ("published", "no-two"), done
    assert [concept["name"] for concept in done["concepts"]] == ["pogo", "neonix", "balloon"]
    card = client.runtime.loaded.store.card("no-three")
    assert (card.parent, len(card.concepts)) == ("no-two", 3)


def test_a_parent_that_is_gone_by_then_fails_the_job(client: Client) -> None:
    publish(client.runtime, "elder")
    with device_held(client.runtime):
        body = {**BODY, "id": "orphan", "concept": "blip", "parent": "elder"}
        assert client.post("/v1/encoders", json=body).status_code == 200
        client.delete("/v1/encoders/elder")
        publish(client.runtime, "elder", seed=7)
    done = wait_for(client, "/v1/encoders/orphan")
    assert done["status"] == "failed"
    assert "'elder'" in done["error"]["message"]  # gone, or another by now: as the job found it


def test_deleting_one_that_is_being_made_stops_it(client: Client) -> None:
    body = {**BODY, "id": "cancelled", "settings": {"steps": 1000}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    while client.get("/v1/encoders/cancelled").json()["phase"] != "optimising":
        time.sleep(0.02)
    answer = client.delete("/v1/encoders/cancelled")
    assert answer.json() == {"id": "cancelled", "object": "encoder.deleted", "deleted": True}
    assert_error(client.get("/v1/encoders/cancelled"), 404, code="encoder_not_found")
    until = time.monotonic() + 30
    while client.runtime.loaded.engine.stats().in_flight:
        assert time.monotonic() < until
        time.sleep(0.02)
    again = client.post("/v1/encoders", json={**BODY, "id": "cancelled"})
    assert again.status_code == 200
    assert wait_for(client, "/v1/encoders/cancelled")["status"] == "published"


def test_an_idempotency_key_makes_one_encoder(client: Client) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {**BODY, "id": "once"}
    with device_held(client.runtime):
        first = client.post("/v1/encoders", json=body, headers=headers)
        again = client.post("/v1/encoders", json=body, headers=headers)
        assert first.json()["id"] == again.json()["id"] == "once"
        other = client.post("/v1/encoders", json={**body, "concept": "blip"}, headers=headers)
        assert_error(other, 422, code="idempotency_key_reused")
    assert wait_for(client, "/v1/encoders/once")["status"] == "published"
    assert client.post("/v1/encoders", json=body, headers=headers).json()["status"] == "published"
    assert client.delete("/v1/encoders/once").status_code == 200
    assert_error(client.delete("/v1/encoders/once"), 404)


def test_encoders_are_listed_page_by_page(client: Client) -> None:
    for number in range(3):
        publish(client.runtime, f"listed-{number}", seed=20 + number)
    walked: list[str] = []
    params: dict[str, Any] = {"limit": 2, "order": "asc"}
    while True:
        page = client.get("/v1/encoders", params=params).json()
        walked += [encoder["id"] for encoder in page["data"]]
        if not page["has_more"]:
            break
        params["after"] = page["last_id"]
    assert len(walked) == len(set(walked))
    assert {"listed-0", "listed-1", "listed-2"} <= set(walked)
    backwards = client.get("/v1/encoders", params={"limit": 100}).json()["data"]
    assert [encoder["id"] for encoder in backwards] == walked[::-1]
    assert_error(client.get("/v1/encoders", params={"after": "nobody"}), 404)


def test_a_full_encoder_queue_refuses(make_client: Any) -> None:
    small: Client = make_client(**FAST, max_queued_encoders=1)
    with device_held(small.runtime):
        assert small.post("/v1/encoders", json={**BODY, "id": "a"}).status_code == 200
        refused = small.post("/v1/encoders", json={**BODY, "id": "b"})
        assert_error(refused, 429, code="queue_full")
        assert int(refused.headers["retry-after"]) > 0
        assert small.delete("/v1/encoders/a").status_code == 200


def test_a_refused_request_leaves_the_record_of_a_lost_encoder(make_client: Any) -> None:
    small: Client = make_client(**FAST, max_queued_encoders=1)
    made = small.post("/v1/encoders", json={**BODY, "id": "lost"})
    assert made.status_code == 200
    assert wait_for(small, "/v1/encoders/lost")["status"] == "published"
    encoder_folder(small.runtime, "lost").remove()
    with device_held(small.runtime):
        assert small.post("/v1/encoders", json={**BODY, "id": "a"}).status_code == 200
        refused = small.post("/v1/encoders", json={**BODY, "id": "lost"})
        assert_error(refused, 429, code="queue_full")
        assert small.runtime.records.get(EncoderRecord, EncoderRecord.id == "lost") is not None
        assert small.delete("/v1/encoders/a").status_code == 200
    again = small.post("/v1/encoders", json={**BODY, "id": "lost"})
    assert again.status_code == 200
    assert wait_for(small, "/v1/encoders/lost")["status"] == "published"
