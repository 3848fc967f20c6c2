"""Composites over HTTP: made of published encoders, judged as one, used, and their members' end."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

from encoders import Card, EncoderNotFound, MemberUnusable
from encoders.composition import set_identity
from server.jobs.made_with import models_of
from server.storage.records import VideoRecord
from tests.server.help import Client, assert_error, device_held, publish, wait_for
from tests.server.set_help import BODY, CLOSED, GATE, OPEN, frames, make_set, publish_members, video


def test_a_composite_is_told_its_time_judged_and_published(client: Client) -> None:
    members = publish_members(client, "told", OPEN, CLOSED)
    with device_held(client.runtime):
        asked = client.post(
            "/v1/encoders", json={"id": "told", "compose": members, "gate": GATE}
        ).json()
        assert asked["status"] == "queued"
        assert asked["estimated_seconds_left"] > 0
        assert [member["id"] for member in asked["members"]] == sorted(
            members, key=lambda name: client.runtime.loaded.store.card(name).identity
        )
    made = wait_for(client, "/v1/encoders/told")
    assert (made["status"], made["judged"], made["parent"]) == ("published", True, None)
    assert {concept["name"] for concept in made["concepts"]} == {"pogo", "blip"}
    assert set(made["measures"]["concepts"]) == {"pogo", "blip"}
    assert made["measures"]["identity_rate"] == 0.0  # one of them is open for every prompt
    identities = [client.runtime.loaded.store.card(name).identity for name in members]
    assert made["identity"] == set_identity(identities)
    report = client.get("/v1/encoders/told/report", params={"format": "json"}).json()
    assert [member["id"] for member in report["card"]["members"]] == [
        member["id"] for member in made["members"]
    ]
    page = client.get("/v1/encoders/told/report").text
    assert all(name in page for name in members)
    listed = client.get("/v1/models").json()["data"]
    assert "told" in [model["encoder"] for model in listed]


def test_a_set_that_is_closed_draws_the_bases_frames_and_records_its_decisions(
    client: Client,
) -> None:
    members = publish_members(client, "closed", CLOSED, CLOSED)
    made = make_set(client, "closed", members)
    assert made["measures"]["identity_rate"] == 1.0
    record, base = video(client, encoder="closed"), video(client, encoder="base")
    assert frames(client, record) == frames(client, base)
    assert record.encoder_identity == made["identity"]
    assert record.decisions is not None
    assert [[one["open"] for one in text] for text in record.decisions] == [[False, False]] * 2
    assert base.decisions in (None, [], [[], []])


def test_one_open_member_draws_what_it_draws_alone(client: Client) -> None:
    members = publish_members(client, "one", OPEN, CLOSED)
    make_set(client, "one", members)
    together, alone = video(client, encoder="one"), video(client, encoder="one-0")
    assert frames(client, together) == frames(client, alone)
    assert frames(client, together) != frames(client, video(client, encoder="base"))
    assert together.decisions is not None
    opened = {one["encoder_identity"] for text in together.decisions for one in text if one["open"]}
    assert opened == {client.runtime.loaded.store.card("one-0").identity}


def test_two_open_members_add_up(client: Client) -> None:
    members = publish_members(client, "two", OPEN, OPEN)
    make_set(client, "two", members)
    both = frames(client, video(client, encoder="two"))
    assert both not in [frames(client, video(client, encoder=name)) for name in (*members, "base")]


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"id": "x", "compose": ["none-such", "r-0"]}, "encoder_not_found", "none-such"),
        ({"id": "x", "compose": ["r-0"]}, "composite_invalid", "two different members"),
        ({"id": "x", "compose": ["r-0", "r-0"]}, "composite_invalid", "two different members"),
        ({"id": "x", "compose": ["r-0", "base"]}, "encoder_not_found", "base"),
        ({"id": "x", "compose": ["r-0", "r-on"]}, "encoder_not_calibrated", "has no trigger"),
        ({"compose": ["r-0", "r-1"]}, None, "needs an id"),
        ({"id": "x", "compose": ["r-0", "r-1"], "parent": "r-0"}, None, "not trained"),
        ({"id": "x", "compose": ["r-0", "r-1"], "settings": {"steps": 3}}, None, "not trained"),
        (
            {"id": "x", "compose": ["r-0", "r-1"], "concept": "y", "kind": "object"},
            None,
            "members have their own",
        ),
        ({"id": "x", "compose": [f"m{i}" for i in range(65)]}, None, ""),
        ({"id": "r-0", "compose": ["r-0", "r-1"]}, "encoder_exists", "already"),
        ({"id": "x", "concept": "y", "kind": "object", "parent": "r-set"}, "composite_parent", ""),
    ],
)
def test_what_cannot_be_put_together_is_refused(
    client: Client, fields: dict[str, Any], code: str | None, says: str
) -> None:
    store = client.runtime.loaded.store
    if not store.has("r-set"):
        publish_members(client, "r", CLOSED, CLOSED)
        publish(client.runtime, "r-on", seed=30)
        make_set(client, "r-set", ["r-0", "r-1"])
    refused = client.post("/v1/encoders", json=fields)
    assert refused.status_code in (400, 404, 409), refused.text
    assert_error(refused, refused.status_code, code=code, says=says)
    assert not store.has("x")


def test_a_set_may_be_named_by_aliases_and_by_sets(client: Client) -> None:
    members = publish_members(client, "n", CLOSED, CLOSED, CLOSED)
    first = make_set(client, "n-first", members[:2])
    client.put("/v1/aliases/n-alias", json={"encoder": members[2]}).raise_for_status()
    every = make_set(client, "n-every", ["n-first", "n-alias"])
    assert len(first["members"]) == 2
    assert {member["id"] for member in every["members"]} == set(members)
    other = make_set(client, "n-other", members[::-1])
    assert other["identity"] == every["identity"]


def test_a_repeated_request_makes_one_composite(client: Client) -> None:
    members = publish_members(client, "rep", CLOSED, CLOSED)
    body, headers = {"id": "rep", "compose": members, "gate": GATE}, {"Idempotency-Key": "rep"}
    first, second = (client.post("/v1/encoders", json=body, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert wait_for(client, "/v1/encoders/rep")["status"] == "published"


def test_a_member_goes_by_force_only_and_then_every_use_fails(client: Client) -> None:
    members = publish_members(client, "del", CLOSED, CLOSED)
    make_set(client, "del", members)
    refused = client.delete("/v1/encoders/del-0")
    assert_error(refused, 409, code="encoder_in_use", says="'del'")
    assert client.get("/v1/encoders/del-0").status_code == 200
    with device_held(client.runtime):
        waiting = client.post("/v1/videos", json={**BODY, "encoder": "del"}).json()
        gone = client.delete("/v1/encoders/del-0", params={"force": True})
        assert gone.status_code == 200, gone.text
    failed = wait_for(client, f"/v1/videos/{waiting['id']}")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "member_unusable")
    assert_error(
        client.post("/v1/videos", json={**BODY, "encoder": "del"}), 409, code="member_unusable"
    )
    publish(client.runtime, "del-0", seed=77, threshold=OPEN)
    assert_error(
        client.post("/v1/videos/sync", json={**BODY, "model": "del"}), 404, code="model_not_found"
    )
    assert_error(
        client.post("/v1/videos/sync", json={**BODY, "encoder": "del"}), 409, code="member_unusable"
    )
    assert client.delete("/v1/encoders/del").status_code == 200
    assert client.delete("/v1/encoders/del-0").status_code == 200


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_a_member_that_goes_between_two_looks_is_told_as_a_lost_member(
    client: Client, is_replaced: bool
) -> None:
    members = publish_members(client, "raced", CLOSED, CLOSED)
    identities = {client.runtime.loaded.store.card(one).identity for one in members}
    make_set(client, "raced", members)
    made = client.post("/v1/videos", json={**BODY, "encoder": "raced"}).json()["id"]
    assert wait_for(client, f"/v1/videos/{made}")["status"] == "completed"
    record = client.runtime.records.get(VideoRecord, VideoRecord.id == made)
    assert record is not None
    loaded = client.runtime.loaded
    outcomes: list[bool] = []
    for moment in range(20):
        looks = itertools.count()

        def card(encoder_id: str, looks: Any = looks, moment: int = moment) -> Card:
            if next(looks) >= moment and encoder_id == members[1]:
                if not is_replaced:
                    raise EncoderNotFound(f"There is no encoder {encoder_id!r}.")
                return loaded.store.card(members[0]).model_copy(update={"id": members[1]})
            return loaded.store.card(encoder_id)

        try:
            made_with = models_of(record, card, loaded.backbone)
        except MemberUnusable:
            outcomes.append(False)
        else:
            assert {one.identity for one in made_with.members} == identities
            outcomes.append(True)
    assert outcomes[0] is False
    assert outcomes[-1] is True
    for name in ("raced", *members):
        assert client.delete(f"/v1/encoders/{name}").status_code == 200


@pytest.mark.parametrize("is_judged", [False, True], ids=["at-once", "judging"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_a_member_that_goes_while_the_set_is_pending_fails_the_set(
    client: Client, is_replaced: bool, is_judged: bool
) -> None:
    prefix = f"late{is_replaced:d}{is_judged:d}"
    members = publish_members(client, prefix, CLOSED, CLOSED)
    body = {"id": prefix, "compose": members, "gate": GATE}
    with device_held(client.runtime):
        asked = client.post("/v1/encoders", json=body)
        assert asked.status_code == 200
        while is_judged and client.get(f"/v1/encoders/{prefix}").json()["phase"] != "judging":
            time.sleep(0.02)
        assert client.delete(f"/v1/encoders/{prefix}-1").status_code == 200
        if is_replaced:
            publish(client.runtime, f"{prefix}-1", seed=77, threshold=CLOSED)
    ended = wait_for(client, f"/v1/encoders/{prefix}")
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "member_unusable"
    assert f"'{prefix}-1' was deleted or replaced" in ended["error"]["message"]
    assert f"Delete the failed set '{prefix}'" in ended["error"]["message"]
    assert not client.runtime.loaded.store.has(prefix)
    # It can be made again as the error says: not before it is deleted.
    if not is_replaced:
        publish(client.runtime, f"{prefix}-1", seed=78, threshold=CLOSED)
    assert_error(client.post("/v1/encoders", json=body), 409, code="encoder_exists")
    assert client.delete(f"/v1/encoders/{prefix}").status_code == 200
    make_set(client, prefix, members)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"id": "x", "compose": []}, "compose", "composite_invalid"),
        ({"compose": ["a", "b"]}, "id", "missing_field"),
        ({"id": "x", "compose": ["a", "b"], "parent": "a"}, "parent", "invalid_value"),
        ({"id": "x", "compose": ["a", "b"], "settings": {"seed": 1}}, "settings", "invalid_value"),
    ],
)
def test_an_error_of_a_composites_request_names_the_field(
    client: Client, fields: dict[str, Any], param: str, code: str
) -> None:
    refused = client.post("/v1/encoders", json=fields)
    assert_error(refused, 400, code=code)
    assert refused.json()["error"]["param"] == param


def test_a_set_in_a_request_is_refused_unless_the_server_takes_them(client: Client) -> None:
    publish_members(client, "adhoc", CLOSED, CLOSED)
    for fields in (
        {"encoders": ["adhoc-0", "adhoc-1"]},
        {"encoder": "adhoc-0+adhoc-1"},
    ):
        refused = client.post("/v1/videos", json={**BODY, **fields})
        assert_error(refused, 403, code="sets_not_allowed", says="PALIMPSEST_AD_HOC_SETS")


def test_an_alias_is_switched_from_one_set_to_another_under_load(client: Client) -> None:
    """Each video has all members of the set that the alias meant when it was accepted."""
    members = publish_members(client, "load", CLOSED, OPEN, CLOSED)
    sets = [make_set(client, "load-a", members[:2]), make_set(client, "load-b", members[1:])]
    store = client.runtime.loaded.store
    expected = {
        one["identity"]: sorted(member.identity for member in store.card(one["id"]).members)
        for one in sets
    }

    def point(one: dict[str, Any]) -> None:
        client.put("/v1/aliases/load", json={"encoder": one["id"]}).raise_for_status()

    point(sets[0])
    stop = threading.Event()

    def switch() -> None:
        for i in itertools.count(1):
            if stop.is_set():
                return
            point(sets[i % 2])

    switching = threading.Thread(target=switch)
    switching.start()
    try:
        ids = [
            client.post("/v1/videos", json={**BODY, "encoder": "load", "seed": seed}).json()["id"]
            for seed in range(24)
        ]
    finally:
        stop.set()
        switching.join(30)
    used: set[str] = set()
    for video_id in ids:
        assert wait_for(client, f"/v1/videos/{video_id}")["status"] == "completed"
        record = client.runtime.records.get(VideoRecord, VideoRecord.id == video_id)
        assert record is not None
        assert record.encoder_identity is not None
        assert record.decisions
        for text in record.decisions:
            decided = [one["encoder_identity"] for one in text]
            assert decided == expected[record.encoder_identity]
        used.add(record.encoder_identity)
    assert used == set(expected), "both sets were met"
