"""Folders of the data directory that are away: jobs wait, requests are refused, no row goes."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.earlier_data import SCHEMAS, restore
from encoders.directory_blobs import DirectoryBlobs
from encoders.folder_marker import MARKER, is_marked, mark
from encoders.store import EncoderStore
from server.jobs.leftovers import Leftovers
from server.jobs.workspace import Workspace
from server.outage import is_outage
from server.settings import Settings
from server.storage.data_directory import DataDirectory
from server.storage.owned_names import MARKED_FOLDERS
from server.storage.records import EncoderRecord
from server.storage.storage_errors import StorageAway
from server.storage.video_files import VideoFiles
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, device_held, wait_for
from tests.server.test_dispatcher import until

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 1}}
HOW = pytest.mark.parametrize("how", ["renamed", "unmounted"])


@contextmanager
def away(folder: Path, how: str) -> Generator[None]:
    """Take a folder away inside the block; if it was a mount, an empty folder is in its place."""
    gone = folder.with_name(f"gone-{folder.name}")
    folder.rename(gone)
    if how == "unmounted":
        folder.mkdir()
    yield
    # Nothing may have been written where the folder is to come back.
    left = list(folder.rglob("*")) if folder.exists() else []
    shutil.rmtree(folder, ignore_errors=True)
    gone.rename(folder)
    assert left == []


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    client = make_client(min_base_rate=0.0, max_probes=2, judged_videos=1)
    assert client.post("/v1/encoders", json={**ENCODER, "id": "made"}).status_code == 200
    assert wait_for(client, "/v1/encoders/made")["status"] == "published"
    assert client.put("/v1/aliases/policy", json={"encoder": "made"}).status_code == 200
    return client


@pytest.fixture
def data(client: Client) -> Path:
    return client.runtime.settings.data_dir


def accept(client: Client, path: str, body: dict[str, Any]) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return f"{path}/{answer.json()['id']}"


@HOW
def test_videos_away(client: Client, data: Path, how: str, caplog: Any) -> None:
    done = accept(client, "/v1/videos", QUICK)
    assert wait_for(client, done)["status"] == "completed"
    with device_held(client.runtime):
        waiting = accept(client, "/v1/videos", QUICK)
        disturbance = away(data / "videos", how)
        disturbance.__enter__()
    name = waiting.rpartition("/")[2]
    until(lambda: re.search(f"waiting for storage: .*{name}", caplog.text), "nothing waits")
    assert_error(client.get(f"{done}/content"), 503, code="storage_unavailable")
    with pytest.raises(OSError, match="the folder is away") as raised:
        client.runtime.files.sweep(dict, time.time())
    assert is_outage(raised.value)
    disturbance.__exit__(None, None, None)
    assert wait_for(client, waiting)["status"] == "completed"
    for video in (done, waiting):
        assert client.get(f"{video}/content").status_code == 200


@HOW
def test_encoders_away(client: Client, data: Path, how: str, caplog: Any) -> None:
    video = {**QUICK, "encoder": "policy"}
    with device_held(client.runtime):
        waiting = accept(client, "/v1/videos", video)
        disturbance = away(data / "encoders", how)
        disturbance.__enter__()
    name = waiting.rpartition("/")[2]
    until(lambda: re.search(f"waiting for storage: .*{name}", caplog.text), "nothing waits")
    refused: list[tuple[str, str, Any]] = [
        ("GET", "/v1/encoders", None),
        ("GET", "/v1/encoders/made", None),
        ("GET", "/v1/encoders/made/events", None),
        ("GET", "/v1/encoders/made/report", None),
        ("GET", "/v1/encoders/made/report?format=zip", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/tiny:made", None),
        ("POST", "/v1/videos", video),
        ("POST", "/v1/videos", {**QUICK, "model": "tiny:made"}),
        ("POST", "/v1/videos/sync", video),
        ("POST", "/generate", video),
        ("POST", "/v1/encoders", {**ENCODER, "id": "made"}),
        ("POST", "/v1/encoders", {**ENCODER, "concept": "blip", "parent": "made"}),
        ("POST", "/v1/encoders/made/judge", {}),
        ("PUT", "/v1/aliases/policy", {"encoder": "made"}),
        ("DELETE", "/v1/encoders/made", None),
    ]
    for method, path, body in refused:
        answer = client.request(method, path, json=body)
        assert_error(answer, 503, code="storage_unavailable")
    with pytest.raises(OSError, match="the folder is away") as raised:
        Leftovers(client.runtime.jobs.context).sweep(time.time())
    assert is_outage(raised.value)
    row = client.runtime.records.get(EncoderRecord, EncoderRecord.id == "made")
    assert row is not None
    assert client.get("/v1/aliases/policy").json()["encoder"] == "made"
    base = accept(client, "/v1/videos", QUICK)  # the base needs no encoder
    assert wait_for(client, base)["status"] == "completed"
    disturbance.__exit__(None, None, None)
    assert wait_for(client, waiting)["status"] == "completed"
    assert client.get("/v1/encoders/made").json()["status"] == "published"


@HOW
@pytest.mark.parametrize("folder", ["making", "drafts"])
def test_an_encoder_job_waits(
    client: Client, data: Path, folder: str, how: str, caplog: Any
) -> None:
    with away(data / folder, how):
        making = accept(client, "/v1/encoders", {**ENCODER, "id": f"{folder}-{how}"})
        until(lambda: "waiting for storage" in caplog.text, "nothing waits")
        assert client.get(making).json()["status"] in ("queued", "in_progress")
    assert wait_for(client, making)["status"] == "published"


def test_markers_stay_whatever_is_swept(client: Client, data: Path) -> None:
    for name in MARKED_FOLDERS:
        os.utime(data / name / MARKER, (0, 0))
    Leftovers(client.runtime.jobs.context).sweep(time.time())
    assert [name for name in MARKED_FOLDERS if is_marked(data / name)] == list(MARKED_FOLDERS)
    assert MARKER not in client.runtime.files.ids()
    assert {(data / name / MARKER).stat().st_mode & 0o777 for name in MARKED_FOLDERS} == {0o600}


@HOW
@pytest.mark.parametrize("name", MARKED_FOLDERS)
def test_a_server_does_not_open_without_a_folder_that_it_had(
    name: str, how: str, tmp_path: Path
) -> None:
    data = restore(SCHEMAS[-1], tmp_path)  # of an earlier version, without markers
    settings = Settings(data_dir=data)
    DataDirectory(settings).close()
    with away(data / name, how):
        for _ in range(2):
            with pytest.raises(StorageAway, match=f"{name} is away.*{MARKER}"):
                DataDirectory(settings)
    DataDirectory(settings).close()
    shutil.rmtree(data / name)  # lost for good, and the operator says so
    (data / name).mkdir()
    (data / name / MARKER).touch()
    DataDirectory(settings).close()


@HOW
def test_what_is_away_is_never_absent(client: Client, how: str, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("store", "work", "videos")}
    for place in places.values():
        mark(place)
    store = EncoderStore(places["store"], is_marked=True)
    encoder = client.runtime.loaded.store.load("made")
    store.publish(encoder)
    workspace = Workspace(DirectoryBlobs(places["work"], is_marked=True), "job")
    files = VideoFiles(DirectoryBlobs(places["videos"], is_marked=True))
    looks = {
        "store": [
            lambda: store.card("made"),
            lambda: store.load("other"),
            lambda: store.has("other"),
            lambda: store.delete("made"),
            lambda: store.publish(encoder),
            lambda: store.report("made", "a.png"),
            lambda: EncoderStore(places["store"], is_marked=True),
            store.ids,
            store.cards,
            store.sweep,
        ],
        "work": [
            lambda: workspace.save_checkpoint(b"state"),
            lambda: workspace.save_losses([1.0]),
            workspace.has_pictures,
            workspace.has_checkpoint,
            workspace.load_checkpoint,
            workspace.has_losses,
            workspace.load_outcomes,
            lambda: workspace.has_images(0),
        ],
        "videos": [
            lambda: files.open("video_1", 1, "video"),
            lambda: files.write("video_1", 1, {"video": b"mp4"}),
            lambda: files.sweep(dict, 0.0),
            lambda: DirectoryBlobs(places["videos"], is_marked=True),
        ],
    }
    for name, place in places.items():
        with away(place, how):
            for look in looks[name]:
                with pytest.raises(OSError, match="the folder is away") as raised:
                    look()
                assert is_outage(raised.value)
    assert store.ids() == ["made"]
    assert not store.has("other")
    assert not workspace.has_pictures()
    with pytest.raises(FileNotFoundError):
        files.open("video_1", 1, "video")
