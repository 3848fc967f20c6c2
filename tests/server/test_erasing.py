"""Retention of prompts, and erasing a tenant: nothing of it is left in any file."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.api.limits import accept_within_limits
from server.auth.keys import Caller, hash_key
from server.errors import Unauthorized
from server.jobs.housekeeping import sweep
from server.storage.key_limits import Limits
from server.storage.key_rows import KeyRow, RateRow, UsageRow
from server.storage.key_table import KeyTable
from server.storage.records import VideoRecord
from tests.server.help import Client, assert_error, bearer, device_held, publish, wait_for
from tests.server.ledger_help import entries_of, exported
from tests.server.stored_help import data_folder
from tests.server.test_dispatcher import row as video_of

MARK = "xyzzymark"
QUICK = {"prompt": f"pogo {MARK}", "steps": 1, "frames": 1, "seed": 1}
ACME, BOSS, OTHER = (bearer(f"secret-{name}") for name in ("acme", "boss", "other"))


@pytest.fixture(scope="module")
def server(make_client: Any) -> Client:
    client: Client = make_client(
        prompt_retention_seconds=100, deleted_record_retention_seconds=1000
    )
    table = KeyTable(client.runtime.database)
    for name in ("acme", "other"):
        table.add(row(name, role="user", encoders=["no-pogo"]))
    table.add(row("boss", role="admin", encoders=None))
    publish(client.runtime, "no-pogo")
    until = time.monotonic() + 5
    # It has noticed the keys, also the last one.
    while [client.get("/v1/videos", headers=key).status_code for key in ({}, BOSS)] != [401, 200]:
        assert time.monotonic() < until
        time.sleep(0.05)
    return client


def row(name: str, **values: Any) -> KeyRow:
    return KeyRow(id=name, sha256=hash_key(f"secret-{name}"), limits={}, **values)


def counted(client: Client) -> set[tuple[str, str]]:
    """Return the tables that count something of a key, with the key's id."""
    with client.runtime.database.reading() as session:
        return {
            (table.__tablename__, found.owner)
            for table in (UsageRow, RateRow)
            for found in session.query(table)
        }


def files_with(data: Path, text: str) -> list[str]:
    files = [path for path in data.rglob("*") if path.is_file()]
    assert len(files) > 3
    return [str(path) for path in files if text.encode() in path.read_bytes()]


def deleted_videos(client: Client) -> list[dict[str, Any]]:
    return client.get("/v1/deleted-videos", headers=BOSS).json()["data"]


def ids(client: Client, key: dict[str, str]) -> list[str]:
    return [video["id"] for video in client.get("/v1/videos?limit=100", headers=key).json()["data"]]


def test_prompts_of_ended_videos_are_taken_out_after_their_time(server: Client) -> None:
    made = server.post("/v1/videos", json={**QUICK, "prompt": "plugh once"}, headers=OTHER).json()
    done = wait_for(server, f"/v1/videos/{made['id']}", key="secret-other")
    context = server.runtime.jobs.context
    with device_held(server.runtime):
        waiting = server.post("/v1/videos", json=QUICK, headers=OTHER).json()["id"]
        sweep(context, now=done["completed_at"] + 99)
        before = server.get(f"/v1/videos/{made['id']}", headers=OTHER).json()
        sweep(context, now=done["completed_at"] + 100)
        after = server.get(f"/v1/videos/{made['id']}", headers=OTHER).json()
        assert server.get(f"/v1/videos/{waiting}", headers=OTHER).json()["prompt"]
    assert (before["prompt"], after["prompt"]) == ("plugh once", None)
    assert {**before, "prompt": None} == after
    assert server.get(f"/v1/videos/{made['id']}/content", headers=OTHER).status_code == 200
    server.runtime.database.scrub()
    assert files_with(data_folder(server.runtime), "plugh once") == []


def test_an_erased_tenant_leaves_nothing_and_others_keep_theirs(server: Client) -> None:
    data = data_folder(server.runtime)
    if server.runtime.settings.postgres is not None:
        pytest.skip("it looks into SQLite's file; test_postgres.py looks into PostgreSQL's")
    kept = server.post("/v1/videos", json={**QUICK, "prompt": "a tree"}, headers=OTHER).json()["id"]
    wait_for(server, f"/v1/videos/{kept}", key="secret-other")
    headers = {**ACME, "Idempotency-Key": f"key-{MARK}"}
    done = server.post("/v1/videos", json=QUICK, headers=headers).json()["id"]
    wait_for(server, f"/v1/videos/{done}", key="secret-acme")
    assert counted(server) >= {("usage", "acme"), ("rate_counters", "acme")}
    assert files_with(data, MARK)
    for caller in (ACME, OTHER):
        assert_error(server.delete("/v1/tenants/acme", headers=caller), 403, code="forbidden")
    entered = entries_of(exported(server))
    with device_held(server.runtime):
        gone = server.post("/v1/videos", json=QUICK, headers=ACME).json()["id"]
        assert server.delete(f"/v1/videos/{gone}", headers=ACME).status_code == 200
        assert [one["id"] for one in deleted_videos(server)] == [gone]
        for _ in range(2):
            assert server.post("/v1/videos", json=QUICK, headers=ACME).status_code == 200
        answer = server.delete("/v1/tenants/acme", headers=BOSS)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "id": "acme",
        "object": "tenant.erased",
        "deleted": True,
        "videos": 3,
        "encoder_jobs": 0,
        "deleted_videos": 1,
        "ledger_entries": 1,
        "key_revoked": True,
    }
    assert_error(server.get("/v1/videos", headers=ACME), 401)
    assert deleted_videos(server) == []
    after = entries_of(exported(server))  # the chain holds
    assert [entry.hash for entry in after] == [entry.hash for entry in entered]
    [erased] = [entry for entry in after if entry.owner is None]
    assert (erased.video_id, erased.salt) == (None, None)
    [whole] = [entry for entry in entered if entry.owner == "acme"]
    assert whole.video_id == done
    assert whole.salt is not None
    with closing(sqlite3.connect(data / "records.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    records = (data / "records.sqlite").read_bytes()
    assert whole.salt.encode() not in records
    assert done.encode() not in records
    assert whole.subject.encode() in records
    assert not (data / "videos" / done).exists()
    records = server.runtime.records
    assert records.get(VideoRecord, VideoRecord.owner == "acme") is None
    left = counted(server)
    assert not left & {("usage", "acme"), ("rate_counters", "acme")}
    assert ("usage", "other") in left
    others = set(ids(server, OTHER))
    for video in others:
        server.delete(f"/v1/videos/{video}", headers=OTHER)
    server.runtime.database.scrub()
    assert {one["owner"] for one in deleted_videos(server)} == {"other"}
    assert kept in others
    assert files_with(data, MARK) == []
    again = server.delete("/v1/tenants/acme", headers=BOSS).json()
    assert (again["videos"], again["key_revoked"]) == (0, True)


def test_a_key_does_not_erase_itself_and_an_unknown_tenant_has_nothing(server: Client) -> None:
    assert_error(server.delete("/v1/tenants/boss", headers=BOSS), 409, code="own_key")
    assert_error(server.delete("/v1/tenants/..x", headers=BOSS), 400, code="invalid_id")
    nobody = server.delete("/v1/tenants/nobody", headers=BOSS).json()
    assert (nobody["videos"], nobody["key_revoked"]) == (0, False)


def test_nothing_is_accepted_or_counted_for_a_key_that_another_server_has_revoked(
    server: Client,
) -> None:
    runtime = server.runtime
    table = KeyTable(runtime.database)
    table.add(row("gone", role="user", encoders=["no-pogo"]))
    table.revoke("gone")
    # As a request goes on whose key was read before.
    caller = Caller("gone", "user", frozenset({"no-pogo"}), "no-pogo", is_stored=True)
    with pytest.raises(Unauthorized, match="revoked"):
        accept_within_limits(runtime, caller, video_of("video_gone", "gone"))
    with pytest.raises(Unauthorized, match="revoked"):
        runtime.storage.usage.count_request("gone", Limits(), stored_key=True)
    assert runtime.records.get(VideoRecord, VideoRecord.owner == "gone") is None
    assert not {("usage", "gone"), ("rate_counters", "gone")} & counted(server)
    # A key of the same id in the keys file is another key.
    declared = replace(caller, is_stored=False)
    with device_held(runtime):
        kept = accept_within_limits(runtime, declared, video_of("video_kept", "gone"))
        assert kept.owner == "gone"
        runtime.jobs.remove(kept)
