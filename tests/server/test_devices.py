"""A server with a process for each device, behind one port."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from server import devices
from server.devices import DeviceClaim, DevicesRefused
from server.settings import Settings
from server.storage.backends import open_database
from server.storage.records import VideoRecord
from server.storage.replica_rows import ReplicaRow
from tests.server.help import Server, running, wait_for
from tests.server.test_kills import until

VIDEO = {"prompt": "pogo in a meadow", "steps": 20, "frames": 4, "seed": 1}


def settings_of(tmp_path: Path, names: str, **values: str) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, "devices": names, **values})


def _accepted(client: httpx.Client) -> str:
    """Return the id of a video that is accepted, once the worker that is asked has its model."""
    answers: list[httpx.Response] = []

    def is_accepted() -> bool:
        answers.append(client.post("/v1/videos", json=VIDEO))
        return answers[-1].is_success

    until(is_accepted, "the video was not accepted")
    return answers[-1].json()["id"]


@pytest.mark.slow
def test_two_devices_are_two_replicas_behind_one_port(
    quick_backbone_dir: Path, places: dict[str, str], tmp_path: Path
) -> None:
    database = open_database(Settings.model_validate({"database": places["database"]}))

    def replicas() -> dict[str, int]:
        with database.reading() as session:
            return {row.id: row.process for row in session.scalars(select(ReplicaRow))}

    def workers_of(videos: list[str]) -> set[str | None]:
        with database.reading() as session:
            rows = session.scalars(select(VideoRecord).where(VideoRecord.id.in_(videos)))
            return {row.replica for row in rows}

    settings = {"devices": "cpu,cpu", "videos_in_flight": 1, **places}
    with running(quick_backbone_dir, tmp_path, **settings) as server:
        server.client.headers["Connection"] = "close"  # so that any of them has each request
        until(lambda: len(replicas()) == 2, "there are not two replicas")
        assert len(server.workers()) == 2
        folder = tmp_path / "data" / "devices"
        assert sorted(path.name for path in folder.iterdir()) == ["0", "0.lock", "1", "1.lock"]
        videos = [_accepted(server.client) for _ in range(6)]
        until(lambda: len(workers_of(videos) - {None}) == 2, "one of them took all")
        killed = server.workers()[0]
        killed.kill()
        for video in videos:
            assert wait_for(server.client, f"/v1/videos/{video}")["status"] == "completed"
        until(lambda: len(server.workers()) == 2, "the one that was killed was not replaced")
        assert killed.pid not in [worker.pid for worker in server.workers()]
        until(lambda: len(replicas()) >= 2, "it is no replica again")
        left = [server.parent, *server.workers()]
        began = time.monotonic()
        server.parent.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(left, timeout=20)
        assert not alive
        assert time.monotonic() - began < 15
    with database.reading() as session:
        rows = list(session.scalars(select(VideoRecord)))
    assert [row.status for row in rows] == ["completed"] * 6
    database.close()


def test_without_a_shared_database_and_store_it_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "cpu,cpu")
    with pytest.raises(DevicesRefused, match="set PALIMPSEST_DATABASE to a PostgreSQL"):
        devices.check(settings)
    devices.check(settings_of(tmp_path, "0"))
    devices.check(settings_of(tmp_path, ""))


def test_the_server_that_is_refused_is_one_line(quick_backbone_dir: Path, tmp_path: Path) -> None:
    server = Server(quick_backbone_dir, tmp_path, devices="cpu,cpu", database="", store="")
    server.launch()
    assert server.parent.wait(60) == 1
    server.client.close()
    lines = [line for line in server.log.read_text().splitlines() if "devices need" in line]
    assert len(lines) == 1
    assert "Traceback" not in server.log.read_text()


def test_each_process_has_another_device(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "0,1")
    first, second = DeviceClaim(settings), DeviceClaim(settings)
    assert [one.settings.device for one in (first, second)] == ["cuda:0", "cuda:1"]
    assert first.settings.data_dir == tmp_path / "devices" / "0"
    with pytest.raises(DevicesRefused, match=r"A device in .* is used by another process"):
        DeviceClaim(settings)
    shared = {"database": "postgresql://host/name", "store": "s3://bucket"}
    with pytest.raises(DevicesRefused, match="stop the other server"):
        devices.check(settings_of(tmp_path, "0,1", **shared))
    del first
    assert DeviceClaim(settings).settings.device == "cuda:0"


def test_one_device_is_a_server_like_any_other(tmp_path: Path) -> None:
    resolved = devices.resolved(settings_of(tmp_path, "1"))
    assert (resolved.device, resolved.data_dir) == ("cuda:1", tmp_path)
    assert devices.resolved(settings_of(tmp_path, "")).device == "auto"


def test_all_are_the_gpus_that_torch_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_COUNT", "print(0)")
    with pytest.raises(DevicesRefused, match="torch finds no GPU"):
        devices.resolved(settings_of(tmp_path, "all"))
    monkeypatch.setattr(devices, "_COUNT", "print(3)")
    found = devices.resolved(settings_of(tmp_path, "all")).devices
    assert found == ("cuda:0", "cuda:1", "cuda:2")
    with pytest.raises(ValueError, match="all stands alone"):
        settings_of(tmp_path, "all,0")
