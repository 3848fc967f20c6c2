"""A server with some of everything, for tests that copy one, and what a client sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from encoders import Encoder
from encoders.composite import composite_card
from server.copying.server_source import opened_server
from server.settings import Settings
from server.storage import tables
from server.storage.backends import open_database
from server.storage.database import Database
from server.storage.key_table import KeyTable
from server.storage.replica_rows import ReplicaRow
from server.storage.sqlite_database import SqliteDatabase
from tests.server.help import (
    Client,
    bearer,
    device_held,
    publish,
    settings_for,
    wait_for,
    wait_ready,
)
from tests.server.set_help import CLOSED, OPEN
from tests.server.test_live_keys import row

VIDEO = {"prompt": "pogo in a meadow", "steps": 1, "frames": 2, "seed": 1}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 1}}
SETTINGS: dict[str, Any] = {
    "min_base_rate": 0.0,
    "max_probes": 2,
    "judged_videos": 1,
    "ledger_retention_seconds": 0,
    "deleted_record_retention_seconds": 864_000,
    "database": "",
    "store": "",
}
KEY = "secret-boss"
HEADERS = {**bearer(KEY), "Idempotency-Key": "one"}


@dataclass(frozen=True)
class CopiedServer:
    """A stopped server's data directory, and what it answered."""

    data: Path
    backbone: Path
    seen: dict[str, Any]
    """Answers that every copy has to give (`answers`)."""
    video: str
    """Id of a completed video, which was made with the idempotency key `one`."""
    deleted: str
    """Id of a video that was the last one, and was deleted."""
    waiting: str
    """Id of a video that waits. The encoder `waiting` waits too."""


def build(backbone: Path, data: Path) -> CopiedServer:
    """Run a server on a directory until it has some of everything, and stop it."""
    data.mkdir(parents=True)
    database = SqliteDatabase(data / "records.sqlite")
    KeyTable(database).add(row("boss", role="admin", encoders=None, default_encoder=None))
    database.close()
    with Client(settings_for(backbone, data, **SETTINGS)) as client:
        wait_ready(client)
        report = {"report.html": b"<p>page</p>"}
        publish(client.runtime, "no-pogo", report=report, threshold=OPEN)
        publish(client.runtime, "no-blip", seed=2, concept="blip", threshold=CLOSED)
        store = client.runtime.loaded.store
        store.publish(
            Encoder(composite_card("both", [store.card("no-pogo"), store.card("no-blip")]), {})
        )
        alias = client.put("/v1/aliases/policy", json={"encoder": "both"}, headers=bearer(KEY))
        assert alias.status_code == 200, alias.text
        video = made(client, encoder="policy")
        deleted = made(client)
        assert client.delete(f"/v1/videos/{deleted}", headers=bearer(KEY)).status_code == 200
        with device_held(client.runtime):
            waiting = client.post("/v1/videos", json=VIDEO, headers=bearer(KEY)).json()["id"]
            body = {**ENCODER, "id": "waiting"}
            asked = client.post("/v1/encoders", json=body, headers=bearer(KEY))
            assert asked.status_code == 200, asked.text
            seen = answers(client, video)
            client.runtime.end_waits()
    return CopiedServer(data, backbone, seen, video, deleted, waiting)


def made(client: Client, **fields: str) -> str:
    """Have a video made, the first one with an idempotency key, and return its id."""
    headers = HEADERS if fields else bearer(KEY)
    asked = client.post("/v1/videos", json={**VIDEO, **fields}, headers=headers)
    assert asked.status_code == 200, asked.text
    ended = wait_for(client, f"/v1/videos/{asked.json()['id']}", key=KEY)
    assert ended["status"] == "completed", ended
    return str(ended["id"])


def silent(phase: str, done: int, total: int) -> None:
    """Take what a copy tells of its progress."""
    assert phase
    assert 0 <= done <= total


def stored(settings: Settings) -> dict[str, Any]:
    """Return all rows of a server, and the content of each file that is copied."""
    with opened_server(settings) as one, one.rows() as found:
        files = one.files(found.attempts())
        contents = {path: files.read(path) for path in files.sizes()}
    database = open_database(settings)
    try:
        return {"rows": rows(database), "files": contents}
    finally:
        database.close()


def answers(client: Client, video: str) -> dict[str, Any]:
    """Return what the server answers about everything that has ended."""
    found: dict[str, Any] = {}
    for variant in ("video", "thumbnail", "spritesheet"):
        path = f"/v1/videos/{video}/content?variant={variant}"
        found[path] = client.get(path, headers=bearer(KEY)).content
        assert len(found[path]) > 100
    for path in (
        f"/v1/videos/{video}",
        "/v1/encoders/both",
        "/v1/encoders/no-pogo",
        "/v1/encoders/no-pogo/report",
        "/v1/aliases",
        "/v1/deleted-videos",
        "/v1/ledger",
    ):
        answer = client.get(path, headers=bearer(KEY))
        assert answer.status_code == 200, (path, answer.text)
        is_json = answer.headers["content-type"].startswith("application/json")
        found[path] = answer.json() if is_json else answer.content
    # The rest is signed at each answer, and later videos follow.
    found["/v1/ledger"] = found["/v1/ledger"]["entries"][:2]
    return found


def rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of a database, apart from what is the database's own."""
    found: dict[str, list[dict[str, Any]]] = {}
    with database.reading() as session:
        for table in tables.TABLES:
            if table is not ReplicaRow:
                columns = table.__table__.columns
                all_of = session.execute(select(*columns).order_by(*table.__table__.primary_key))
                found[table.__tablename__] = [
                    dict(one._mapping) for one in all_of if "database-id" not in one
                ]
    return found
