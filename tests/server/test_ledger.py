"""The ledger of a real server: every completed clip is entered, and its export verifies."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from marking.ledger import SkippedEntries
from marking.ledger_check import check_export
from server.jobs.housekeeping import sweep
from server.storage.ledger_rows import LedgerRow
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
from tests.server.ledger_help import QUICK, entries_of, exported, made
from tests.server.set_help import OPEN, make_set, publish_members

ACME, BOSS = bearer("secret-acme"), bearer("secret-boss")


@pytest.fixture(scope="module")
def server(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        acme={"role": "user", "encoders": ["policy", "no-rex"], "default_encoder": "policy"},
        open={"role": "user", "encoders": ["*"]},
        boss={"role": "admin"},
    )
    client = make_client(keys_file=keys, ad_hoc_sets=True)
    publish_members(client, "m", OPEN, OPEN)
    publish(client.runtime, "no-rex", seed=5, concept="rex")
    make_set(client, "policy", ["m-0", "m-1"], key="secret-boss")
    assert exported(client).pages[0].entries == []
    assert check_export(exported(client)).sentence.startswith(
        "The ledger holds: no entry (0 shown)"
    )
    return client


def test_a_row_that_was_damaged_is_told(server: Client) -> None:
    made(server, "boss")
    with server.runtime.database.writing() as session:
        row = session.query(LedgerRow).order_by(LedgerRow.sequence.desc()).first()
        assert row is not None
        honest, row.clip = row.clip, "nothing"
        sequence = row.sequence
    answer = server.get("/v1/ledger", headers=BOSS)
    assert_error(answer, 409, code="ledger_damaged", says="backup")
    with server.runtime.database.writing() as session:
        session.get_one(LedgerRow, sequence).clip = honest
    assert server.get("/v1/ledger", headers=BOSS).status_code == 200


def test_every_clip_is_entered_with_its_file_and_what_made_it(server: Client) -> None:
    before = len(entries_of(exported(server)))
    videos = [
        made(server, "boss"),
        made(server, "acme"),
        made(server, "acme", encoder="no-rex"),
        made(server, "open", encoders=["policy", "m-0"]),
        made(server, "open", encoders=["m-0", "m-1"]),
    ]
    entries = entries_of(exported(server, limit=2))[before:]
    assert [entry.video_id for entry in entries] == [video["id"] for video in videos]
    assert [entry.owner for entry in entries] == ["boss", "acme", "acme", "open", "open"]
    assert [entry.completed_at for entry in entries] == [one["completed_at"] for one in videos]
    assert [entry.sequence for entry in entries] == list(range(before + 1, before + 6))
    for video, entry in zip(videos, entries, strict=True):
        key = f"secret-{entry.owner}"
        file = server.get(f"/v1/videos/{video['id']}/content", headers=bearer(key)).content
        assert entry.clip == f"sha256:{sha256(file).hexdigest()}"
        assert entry.base == server.runtime.loaded.backbone.text_encoder.fingerprint
        assert entry.model == video["model"].partition(":")[0]
    card = server.runtime.loaded.store.card
    base, composite, single, same, ad_hoc = entries
    assert (base.encoder, base.members, base.concepts) == (None, (), ())
    identities = sorted(card(name).identity for name in ("m-0", "m-1"))
    for entry, name in ((composite, "policy"), (same, "policy"), (ad_hoc, "m-0+m-1")):
        assert entry.encoder is not None
        assert (entry.encoder.id, entry.encoder.identity) == (name, card("policy").identity)
        assert [one.identity for one in entry.members] == identities
        assert {(one.name, one.kind) for one in entry.concepts} == {
            ("pogo", "character"),
            ("blip", "character"),
        }
    assert single.encoder is not None
    assert single.encoder.digest == card("no-rex").digest
    assert single.members == ()
    assert [one.name for one in single.concepts] == ["rex"]


def test_a_deleted_video_and_a_deleted_encoder_stay_entered(server: Client) -> None:
    publish(server.runtime, "no-tam", seed=6, concept="tam")
    video = made(server, "open", encoder="no-tam")
    [entry] = entries_of(exported(server, "&encoder=no-tam"))
    server.delete(f"/v1/videos/{video['id']}", headers=bearer("secret-open"))
    assert server.delete("/v1/encoders/no-tam", headers=BOSS).status_code == 200
    assert entries_of(exported(server, "&encoder=no-tam")) == [entry]
    assert entry.video_id == video["id"]
    assert [one.name for one in entry.concepts] == ["tam"]


def test_what_is_not_completed_is_not_entered(server: Client) -> None:
    before = len(entries_of(exported(server)))
    publish(server.runtime, "no-zig", seed=7)
    with device_held(server.runtime):
        deleted = server.post("/v1/videos", json=QUICK, headers=ACME).json()["id"]
        assert server.delete(f"/v1/videos/{deleted}", headers=ACME).status_code == 200
        with_zig = {**QUICK, "encoder": "no-zig"}
        failing = server.post("/v1/videos", json=with_zig, headers=BOSS).json()["id"]
        assert server.delete("/v1/encoders/no-zig", headers=BOSS).status_code == 200
    failed = wait_for(server, f"/v1/videos/{failing}", key="secret-boss")
    assert failed["error"]["code"] == "encoder_not_found"
    last = made(server, "acme")
    assert [entry.video_id for entry in entries_of(exported(server))[before:]] == [last["id"]]


def test_a_filtered_export_shows_its_part_and_accounts_for_the_rest(server: Client) -> None:
    made(server, "boss")
    mine = made(server, "acme")
    made(server, "open", encoder="no-rex")
    every = entries_of(exported(server))
    rex = server.runtime.loaded.store.card("no-rex")
    m_0 = server.runtime.loaded.store.card("m-0")
    filters: dict[str, Any] = {
        "&key=acme": lambda one: one.owner == "acme",
        "&encoder=no-rex": lambda one: one.encoder and one.encoder.id == "no-rex",
        f"&encoder={rex.identity}": lambda one: one.encoder and one.encoder.id == "no-rex",
        f"&encoder={rex.digest}": lambda one: one.encoder and one.encoder.id == "no-rex",
        "&encoder=m-0": lambda one: "m-0" in [member.id for member in one.members],
        f"&encoder={m_0.identity}": lambda one: "m-0" in [each.id for each in one.members],
        "&encoder=policy&key=acme": lambda one: (
            one.encoder and one.encoder.id == "policy" and one.owner == "acme"
        ),
        f"&since={mine['completed_at']}": lambda one: one.completed_at >= mine["completed_at"],
        f"&until={mine['completed_at']}": lambda one: one.completed_at <= mine["completed_at"],
        "&key=nobody": lambda one: False,
    }
    for query, belongs in filters.items():
        for limit in (1, 100):
            export = exported(server, query, limit=limit)
            assert entries_of(export) == [one for one in every if belongs(one)], query
            assert check_export(export).last == every[-1].sequence
    [page] = exported(server, "&key=nobody").pages
    [run] = page.entries
    assert isinstance(run, SkippedEntries)
    assert (run.first, run.last, run.hash) == (1, len(every), every[-1].hash)
    text = exported(server, "&key=acme").model_dump_json()
    assert '"owner":"open"' not in text
    assert mine["id"] in text


def test_a_row_that_was_changed_in_the_database_is_named(server: Client) -> None:
    for _ in range(3):
        made(server, "acme")
    number = entries_of(exported(server))[-2].sequence
    with server.runtime.database.writing() as session:
        row = session.get(LedgerRow, number)
        assert row is not None
        was, row.encoder_id = row.encoder_id, "no-rex"
    assert check_export(exported(server)).sentence == (
        f"The ledger does not hold: entry {number} was changed."
    )
    with server.runtime.database.writing() as session:
        session.query(LedgerRow).filter_by(sequence=number).update({"encoder_id": was})
    assert entries_of(exported(server))


def test_only_an_admin_reads_it_and_every_refusal_says_why(server: Client) -> None:
    paths = ("/v1/ledger", "/v1/ledger/forgetting?key=acme&concept=pogo")
    for path in (*paths, "/v1/encoders/no-rex/recall"):
        assert_error(server.get(path), 401)
        for key in ("acme", "open"):
            answer = server.get(path, headers=bearer(f"secret-{key}"))
            assert_error(answer, 403, code="forbidden", says=key)
        assert server.head(path, headers=BOSS).status_code == 200
    assert_error(server.get("/v1/ledger?after=999999", headers=BOSS), 404, says="999999")
    for query in ("limit=0", "limit=1001", "since=-1", "since=x", "after=-1", f"until={1 << 70}"):
        assert_error(server.get(f"/v1/ledger?{query}", headers=BOSS), 400)
    for odd in ("%00", "no-rex%00", '"', "%25", "_", "\\", "%27 OR 1=1 --", "sha256:", "%ff"):
        assert_error(server.get(f"/v1/ledger?encoder={odd}", headers=BOSS), 400)
        assert entries_of(exported(server, f"&key={odd}")) == []
    unknown = "/v1/ledger/forgetting?key=nobody&concept=pogo"
    assert_error(server.get(unknown, headers=BOSS), 404, says="'nobody'")
    assert_error(server.get("/v1/ledger/forgetting?key=acme", headers=BOSS), 400)


def test_since_when_a_keys_clips_forget_a_concept(server: Client) -> None:
    def asked(concept: str, **more: str) -> dict[str, Any]:
        query = {"key": "acme", "concept": concept, **more}
        answer = server.get("/v1/ledger/forgetting", params=query, headers=BOSS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    without = made(server, "acme", encoder="no-rex")
    found = asked("pogo")
    assert (found["since"], found["clips"], found["first"]) == (None, 0, None)
    assert found["last_without"]["video_id"] == without["id"]
    assert asked("rex")["clips"] == 1
    first = made(server, "acme")
    last = made(server, "acme")
    made(server, "boss")  # another key's clip of the base
    for concept in ("pogo", " Blip"):
        found = asked(concept)
        assert (found["since"], found["clips"]) == (first["completed_at"], 2)
        assert found["first"]["video_id"] == first["id"]
        assert found["last_without"]["video_id"] == without["id"]
    assert asked("pogo", kind="character")["clips"] == 2
    assert asked("pogo", kind="person")["last_without"]["video_id"] == last["id"]
    assert asked("nothing")["clips"] == 0


def test_housekeeping_removes_what_is_due_and_only_if_it_is_told_to(server: Client) -> None:
    made(server, "boss")
    entries = entries_of(exported(server))
    context = server.runtime.jobs.context
    later = entries[-1].completed_at + 100
    sweep(context, now=later + (1 << 31))  # the setting's default
    assert entries_of(exported(server)) == entries
    kept = context.settings.model_copy(update={"ledger_retention_seconds": 100})
    told = replace(context, settings=kept)
    sweep(told, now=later - 1)
    left = entries_of(exported(server))
    assert left == [one for one in entries if one.completed_at >= entries[-1].completed_at]
    sweep(told, now=later)
    assert entries_of(exported(server)) == []
    assert exported(server).pages[0].last_sequence == entries[-1].sequence
    made(server, "boss")
    [next_one] = entries_of(exported(server))
    assert (next_one.sequence, next_one.previous) == (entries[-1].sequence + 1, entries[-1].hash)


def test_a_server_without_keys_has_a_ledger_too(make_client: MakeClient, tmp_path: Path) -> None:
    """Last in this file: it ends the server of the others."""
    client = make_client()
    video = made(client)
    [entry] = entries_of(exported(client, key=None))
    assert (entry.owner, entry.video_id, entry.sequence) == ("local", video["id"], 1)
    found = client.get("/v1/ledger/forgetting?key=local&concept=pogo").json()
    assert found["last_without"]["encoder"] is None
