"""A server on PostgreSQL: jobs, keys, and a database that goes away and comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from server.auth.keys import hash_key
from server.jobs.lease import Lease, replica_of
from server.storage.data_directory import DataDirectory
from server.storage.key_rows import KeyRow
from server.storage.key_table import KeyTable
from server.storage.postgres_content import JOBS_SCHEMA
from server.storage.records import FAILED, EncoderRecord, VideoRecord
from server.storage.storage_errors import StorageAway
from tests.postgres_server import PASSWORD, PostgresServer, create_database, maintenance
from tests.server.help import (
    Client,
    assert_error,
    bearer,
    device_held,
    settings_for,
    wait_for,
    wait_ready,
)
from tests.server.test_dispatcher import begun, until

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
ENCODER = {
    "concept": "pogo",
    "kind": "character",
    "settings": {"steps": 2},
    "gate": {"min_base_rate": 0, "max_probes": 1},
}


@pytest.fixture(scope="module")
def postgres() -> Generator[PostgresServer]:
    """Yield a PostgreSQL server of the module's own, which its tests stop and start."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def client(
    postgres: PostgresServer, quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Client]:
    url = create_database(postgres.port, "palimpsest")
    data = tmp_path_factory.mktemp("data")
    with Client(settings_for(quick_backbone_dir, data, database=url)) as client:
        wait_ready(client)
        yield client
    assert [path.name for path in data.glob("*.sqlite*")] == []


def test_jobs_are_done_and_their_records_are_in_postgresql(client: Client) -> None:
    made = client.post("/v1/encoders", json={**ENCODER, "id": "no-pogo"})
    assert made.status_code == 200, made.text
    ids = [
        client.post("/v1/videos", json=QUICK, headers={"Idempotency-Key": key}).json()["id"]
        for key in ("a", "a", "b")
    ]
    assert ids[0] == ids[1] != ids[2]
    for video in ids[1:]:
        assert wait_for(client, f"/v1/videos/{video}")["status"] == "completed"
    assert wait_for(client, "/v1/encoders/no-pogo")["status"] == "published"
    assert client.put("/v1/aliases/acme", json={"encoder": "no-pogo"}).status_code == 200
    with_it = client.post("/v1/videos", json={**QUICK, "encoder": "acme"}).json()["id"]
    assert wait_for(client, f"/v1/videos/{with_it}")["status"] == "completed"
    listed = client.get("/v1/videos", params={"order": "asc", "limit": 2}).json()
    assert [video["id"] for video in listed["data"]] == ids[1:]
    assert listed["has_more"]
    with client.runtime.database.reading() as session:
        assert session.scalar(text("SELECT max(sequence) FROM ledger")) == 3
    assert client.delete(f"/v1/videos/{with_it}").status_code == 200
    assert client.get(f"/v1/videos/{with_it}").status_code == 404
    with client.runtime.database.reading() as session:
        count = f"SELECT count(*) FROM {JOBS_SCHEMA}.workflow_status"
        assert session.scalar(text(count)) == 4
        assert session.scalar(text("SELECT count(*) FROM videos")) == 2


def test_what_was_deleted_is_in_no_table_after_an_erasure(
    client: Client, postgres: PostgresServer
) -> None:
    def stored() -> list[str]:
        """Return the tables with the prompt in their files."""
        with maintenance(postgres.port, "palimpsest") as connection:
            connection.execute("CHECKPOINT")
            files = [path for path in (postgres.data / "base").rglob("*") if path.is_file()]
            found = [path.name for path in files if b"xyzzymark" in path.read_bytes()]
            named = "SELECT pg_filenode_relation(0, %s)::text"
            return [str(connection.execute(named, [name]).fetchone()) for name in found]

    video = client.post("/v1/videos", json={**QUICK, "prompt": "xyzzymark"}).json()["id"]
    assert wait_for(client, f"/v1/videos/{video}")["status"] == "completed"
    with maintenance(postgres.port, "palimpsest") as connection:
        connection.execute("ANALYZE")  # which takes samples of the rows
    assert stored()
    assert client.delete(f"/v1/videos/{video}").status_code == 200
    erased = client.delete("/v1/tenants/nobody")
    assert erased.status_code == 200, erased.text
    assert stored() == []


@pytest.mark.parametrize("seconds", [2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_jobs_wait_for_postgresql_and_go_on(
    client: Client, postgres: PostgresServer, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    owners, name = begun(client), f"no-pogo-{seconds:.0f}"
    with device_held(client.runtime):
        running = client.post("/v1/videos", json=QUICK).json()["id"]
        accepted = client.post("/v1/encoders", json={**ENCODER, "id": name})
        assert accepted.status_code == 200, accepted.text
        until(lambda: owners, "the video was not begun")
        postgres.stop()
        asked = time.monotonic()
        key = {"Idempotency-Key": f"away-{seconds}"}
        for refused in (
            client.post("/v1/videos", json=QUICK, headers=key),
            client.get(f"/v1/videos/{running}"),
            client.delete(f"/v1/videos/{running}"),
        ):
            assert_error(refused, 503, code="storage_unavailable")
            assert refused.headers["Retry-After"] == "5"
        assert time.monotonic() - asked < 5
        until(lambda: not client.runtime.ready, "the server stays ready")
        assert_error(client.get("/health"), 503, code="loading")
    # The video is computed now, and cannot be recorded.
    time.sleep(seconds)
    postgres.start()
    back = time.monotonic()
    wait_ready(client)
    assert wait_for(client, f"/v1/videos/{running}")["status"] == "completed"
    again = client.post("/v1/videos", json=QUICK, headers=key)
    assert again.status_code == 200, again.text
    assert wait_for(client, f"/v1/videos/{again.json()['id']}")["status"] == "completed"
    made = wait_for(client, f"/v1/encoders/{name}")
    assert made["status"] == "published", made
    print(f"all was done {time.monotonic() - back:.1f} s after the database was back")
    records = client.runtime.records
    for table in (VideoRecord, EncoderRecord):
        assert records.all(table, table.status == FAILED) == []
    assert "is back" in caplog.text
    for secret in (PASSWORD, "s3cret"):
        assert secret not in caplog.text


def test_a_second_server_with_a_directory_of_its_own_is_refused(
    client: Client, tmp_path: Path
) -> None:
    settings = client.runtime.settings.model_copy(
        update={"data_dir": tmp_path / "other", "store": ""}
    )
    with closing(DataDirectory(settings)) as second:
        lease = Lease(second.replicas, replica_of(settings, "second"))
        with pytest.raises(StorageAway, match=r"is used by another server .* to one bucket"):
            lease.take()
        assert second.error is not None
        assert second.replicas.ids() == client.runtime.storage.replicas.ids()


def test_keys_are_noticed_and_refused_within_two_seconds(
    client: Client, postgres: PostgresServer
) -> None:
    assert client.get("/v1/videos").status_code == 200
    keys = KeyTable(client.runtime.database)
    made = [KeyRow(id=name, sha256=hash_key(f"secret-{name}"), role="admin") for name in "ab"]
    for row in made:
        keys.add(row)
    asked = time.monotonic()
    until(lambda: client.get("/v1/videos").status_code == 401, "no key is needed")
    assert client.get("/v1/videos", headers=bearer("secret-a")).status_code == 200
    assert time.monotonic() - asked < 2
    keys.revoke("a")
    revoked = time.monotonic()
    until(
        lambda: client.get("/v1/videos", headers=bearer("secret-a")).status_code == 401,
        "a revoked key is accepted",
    )
    assert time.monotonic() - revoked < 2
    postgres.stop()
    time.sleep(1.2)  # the keys are read again meanwhile, in vain
    try:
        said = client.get("/v1/videos", headers=bearer("secret-b"))
        assert_error(said, 503, code="storage_unavailable")  # and not 401: the key stays valid
        assert "127.0.0.1" not in said.text
        assert client.get("/v1/videos", headers=bearer("secret-a")).status_code == 401
    finally:
        postgres.start()
    wait_ready(client)
    assert client.get("/v1/videos", headers=bearer("secret-b")).status_code == 200
