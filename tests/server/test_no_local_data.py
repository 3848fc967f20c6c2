"""A server on PostgreSQL and a bucket: another one, on an empty disk, goes on with all it has."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from server.storage.bucket_probe import StoreUnfit
from server.storage.data_directory import DataDirectory
from tests.postgres_server import create_database
from tests.server.conftest import MakeClient
from tests.server.help import assert_error, device_held, download, settings_for, wait_for

VIDEO = {"prompt": "pogo in a meadow", "steps": 1, "frames": 2, "seed": 1}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 1}}
GATE = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}


def test_a_server_with_an_empty_disk_goes_on(
    make_client: MakeClient, places: dict[str, str], tmp_path: Path
) -> None:
    first = make_client(**places, **GATE, data_dir=tmp_path / "first")
    assert first.post("/v1/encoders", json={**ENCODER, "id": "made"}).status_code == 200
    assert wait_for(first, "/v1/encoders/made")["status"] == "published"
    assert first.put("/v1/aliases/policy", json={"encoder": "made"}).status_code == 200
    body = {**VIDEO, "encoder": "policy"}
    done = first.post("/v1/videos", json=body, headers={"Idempotency-Key": "one"}).json()["id"]
    assert wait_for(first, f"/v1/videos/{done}")["status"] == "completed"
    content = download(first, done)
    report = first.get("/v1/encoders/made/report").text
    with device_held(first.runtime):
        pending = first.post("/v1/videos", json=body).json()["id"]
        making = first.post("/v1/encoders", json={**ENCODER, "id": "pending"})
        assert making.status_code == 200, making.text
        first.runtime.end_waits()
    left = {path.name for path in (tmp_path / "first").rglob("*") if path.is_file()}
    assert left == {"server.lock"}

    second = make_client(**places, **GATE, data_dir=tmp_path / "second")
    assert wait_for(second, f"/v1/videos/{pending}")["status"] == "completed"
    assert wait_for(second, "/v1/encoders/pending")["status"] == "published"
    assert download(second, done) == content
    assert second.get("/v1/encoders/made/report").text == report
    assert second.get("/v1/aliases/policy").json()["encoder"] == "made"
    again = second.post("/v1/videos", json=body, headers={"Idempotency-Key": "one"})
    assert again.json()["id"] == done
    assert second.delete(f"/v1/videos/{done}").status_code == 200
    assert_error(second.get(f"/v1/videos/{done}/content"), 404)
    files = second.runtime.storage.store.blobs("videos")
    assert {item.path.split("/")[0] for item in files.walk("")} - {".palimpsest-folder"} == {
        pending
    }


def test_a_bucket_is_not_shared_with_a_server_on_another_database(
    places: dict[str, str], postgres_port: int, tmp_path: Path
) -> None:
    DataDirectory(settings_for(tmp_path, tmp_path / "one", **places)).close()
    another = create_database(postgres_port, uuid4().hex)
    (tmp_path / "two").mkdir()
    for settings in ({**places, "database": another}, {**places, "database": ""}):
        with pytest.raises(StoreUnfit, match="belongs to the database"):
            DataDirectory(settings_for(tmp_path, tmp_path / "two", **settings))
