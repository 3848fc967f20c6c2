"""Records of deleted videos: who had a video made and how, for as long as the settings say."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from server.api.waiting import finished
from server.auth.keys import hash_key
from server.jobs.housekeeping import sweep
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.deleted_video_table import DeletedVideoTable
from server.storage.key_rows import KeyRow
from server.storage.key_table import KeyTable
from server.storage.record_store import RecordStore
from server.storage.records import VideoRecord
from server.storage.sqlite_database import SqliteDatabase
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, device_held, download, publish, wait_for
from tests.server.test_key_limits import video
from video import clip

QUICK = {"prompt": "pogo xyzzymark", "negative_prompt": "plugh", "steps": 1, "frames": 1, "seed": 1}
ACME, BOSS = bearer("secret-acme"), bearer("secret-boss")
KEPT_S = 1000


@pytest.fixture(scope="module")
def server(make_client: MakeClient) -> Client:
    client = make_client(deleted_record_retention_seconds=KEPT_S)
    table = KeyTable(client.runtime.database)
    for name, role, encoders in (("acme", "user", ["no-pogo"]), ("boss", "admin", None)):
        values: dict[str, Any] = {"role": role, "encoders": encoders, "limits": {}}
        table.add(KeyRow(id=name, sha256=hash_key(f"secret-{name}"), **values))
    publish(client.runtime, "no-pogo")
    until = time.monotonic() + 5
    # It has noticed the keys, also the last one.
    while [client.get("/v1/videos", headers=key).status_code for key in ({}, BOSS)] != [401, 200]:
        assert time.monotonic() < until
        time.sleep(0.05)
    return client


def asked(client: Client, headers: dict[str, str] = ACME) -> str:
    answer = client.post("/v1/videos", json=QUICK, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def done(client: Client) -> dict[str, Any]:
    return wait_for(client, f"/v1/videos/{asked(client)}", key="secret-acme")


def kept(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/v1/deleted-videos{query}", headers=BOSS)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_an_admin_finds_out_whose_clip_it_was_and_its_owner_does_not(server: Client) -> None:
    video_id = asked(server, {**ACME, "Idempotency-Key": "key-1"})
    made = wait_for(server, f"/v1/videos/{video_id}", key="secret-acme")
    path, record = f"/v1/videos/{made['id']}", f"/v1/deleted-videos/{made['id']}"
    said = clip.read_provenance(server.get(f"{path}/content", headers=ACME).content)
    assert_error(server.get(record, headers=BOSS), 404, says="no record")
    assert server.delete(path, headers=ACME).status_code == 200
    found = server.get(record, headers=BOSS).json()
    assert abs(found.pop("deleted_at") - time.time()) < 60
    assert found == {
        "id": said["id"],
        "object": "deleted_video",
        "owner": "acme",
        "model": made["model"],
        "encoder": "no-pogo",
        "encoder_identity": said["encoder_identity"],
        **{name: said[name] for name in ("seed", "steps", "guidance", "frames", "fps")},
        "seconds": made["seconds"],
        "size": made["size"],
        "status": "completed",
        "created_at": made["created_at"],
        "completed_at": made["completed_at"],
    }
    columns = set(DeletedVideoRow.__table__.columns.keys())
    assert columns.isdisjoint({"prompt", "negative_prompt", "idempotency_key", "request_hash"})
    for key in (ACME, BOSS):
        assert_error(server.get(path, headers=key), 404)
    assert_error(server.get(record, headers=ACME), 403, code="forbidden")
    assert_error(server.get("/v1/deleted-videos", headers=ACME), 403, code="forbidden")
    assert_error(server.get("/v1/deleted-videos/video_x", headers=BOSS), 404)
    assert server.head(record, headers=BOSS).status_code == 200


def test_every_way_to_delete_a_video_keeps_its_record(server: Client) -> None:
    runtime, context = server.runtime, server.runtime.jobs.context
    expired, pushed_out = done(server), done(server)
    with runtime.database.writing() as session:
        session.query(VideoRecord).filter_by(id=expired["id"]).update({"expires_at": 1})
    sweep(context, now=time.time())
    assert_error(server.get(f"/v1/videos/{expired['id']}", headers=ACME), 404)
    with device_held(server.runtime):
        cancelled, left = asked(server), asked(server)
        assert server.delete(f"/v1/videos/{cancelled}", headers=ACME).status_code == 200
        record = runtime.records.get(VideoRecord, VideoRecord.id == left)
        assert record is not None
        waits = threading.Event()

        async def wait() -> None:
            waits.set()
            await finished(runtime, record)

        assert server.portal is not None
        caller = server.portal.start_task_soon(wait)
        assert waits.wait(30)
        caller.cancel()  # as when the connection is closed
        until = time.monotonic() + 30
        while server.get(f"/v1/videos/{left}", headers=ACME).status_code != 404:
            assert time.monotonic() < until
            time.sleep(0.02)
    small = context.settings.model_copy(update={"max_stored_bytes": 1})
    sweep(replace(context, settings=small), now=time.time())
    found = {one["id"]: one for one in kept(server, "?limit=4")}
    assert set(found) == {expired["id"], pushed_out["id"], cancelled, left}
    assert found[cancelled]["completed_at"] is None
    assert {found[one]["status"] for one in (cancelled, left)} <= {"queued", "in_progress"}


def test_a_record_is_removed_in_its_time(server: Client) -> None:
    context = server.runtime.jobs.context
    with device_held(server.runtime):
        made = asked(server)
        server.delete(f"/v1/videos/{made}", headers=ACME)
    record = f"/v1/deleted-videos/{made}"
    found = server.get(record, headers=BOSS).json()
    sweep(context, now=found["deleted_at"] + KEPT_S - 1)
    assert server.get(record, headers=BOSS).status_code == 200
    sweep(context, now=found["deleted_at"] + KEPT_S)
    assert_error(server.get(record, headers=BOSS), 404, says=f"{KEPT_S} seconds")
    assert kept(server) == []


def test_records_are_listed_page_by_page(server: Client) -> None:
    with device_held(server.runtime):
        made = [asked(server) for _ in range(3)] + [asked(server, BOSS)]
        for one, key in zip(made, [ACME] * 3 + [BOSS], strict=True):
            server.delete(f"/v1/videos/{one}", headers=key)
    assert [one["id"] for one in kept(server)] == made[::-1]
    assert [one["id"] for one in kept(server, "?owner=acme&order=asc")] == made[:3]
    first = server.get("/v1/deleted-videos?limit=3", headers=BOSS).json()
    assert (first["has_more"], first["last_id"]) == (True, made[1])
    assert [one["id"] for one in kept(server, f"?limit=3&after={made[1]}")] == [made[0]]
    assert kept(server, "?owner=nobody") == []
    for query in ("after=video_x", f"owner=boss&after={made[0]}"):
        assert_error(server.get(f"/v1/deleted-videos?{query}", headers=BOSS), 404, says="video_")
    assert_error(server.get("/v1/deleted-videos?limit=0", headers=BOSS), 400)


def test_a_server_keeps_none_unless_it_is_told_to(make_client: MakeClient) -> None:
    client = make_client()
    made = client.post("/v1/videos", json=QUICK).json()["id"]
    wait_for(client, f"/v1/videos/{made}")
    assert download(client, made, "thumbnail")
    client.delete(f"/v1/videos/{made}")
    assert client.get("/v1/deleted-videos").json()["data"] == []
    says = "PALIMPSEST_DELETED_RECORD_RETENTION_SECONDS"
    assert_error(client.get(f"/v1/deleted-videos/{made}"), 404, says=says)


def test_a_video_and_its_record_change_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    database = SqliteDatabase(path)
    records = RecordStore(database, lambda: 500.0, records_deleted_videos=True)
    table = DeletedVideoTable(database)
    made = records.accept(video("video_1"), limit=9)

    def trigger(event: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TRIGGER IF EXISTS refuse")
            if event:
                abort = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
                connection.execute(f"CREATE TRIGGER refuse BEFORE {event} {abort}")
            connection.commit()

    for event in ("INSERT ON deleted_videos", "DELETE ON videos"):
        trigger(event)
        with pytest.raises(IntegrityError):
            records.remove(made)
        assert records.get(VideoRecord, VideoRecord.id == "video_1") is not None
        assert table.get("video_1") is None
    trigger("")
    records.change(made, status="completed", completed_at=400)
    for _ in range(2):  # the owner's deletion and the expiry, at once
        records.remove(made)
    row = table.get("video_1")
    assert row is not None
    assert (row.status, row.completed_at, row.deleted_at) == ("completed", 400, 500)
    assert table.erase("other") == 0
    assert table.erase("acme") == 1
    records.remove(made)  # by a caller who goes away after the erasing
    assert table.get("video_1") is None
    database.close()
