"""Leftovers of killed servers, damaged encoders, and records that disagree with the store."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from encoders import EncoderRef
from encoders.directory_blobs import DirectoryBlobs
from server.jobs.checkpoints import Checkpoints
from server.jobs.leftovers import Leftovers
from server.jobs.workspace import Workspace
from server.storage.records import PUBLISHED, EncoderRecord, VideoRecord
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, device_held, publish, wait_for
from tests.server.stored_help import StoredFolder, data_folder, encoder_folder

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 2, "seed": 1}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 1}}
GATE = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    return make_client(**GATE)


@pytest.fixture
def data(client: Client) -> Path:
    return data_folder(client.runtime)


def sweep(client: Client) -> None:
    leftovers = Leftovers(client.runtime.jobs.context)
    leftovers.sweep_own(time.time())
    leftovers.sweep(time.time())


def break_card(folder: StoredFolder, how: str) -> None:
    content = folder.read("card.json")
    match how:
        case "other id":
            broken = content.replace(b"broken", b"other1")
        case "no version":
            broken = content.replace(b'"schema_version": 3', b'"schema_version": 0')
        case "truncated":
            broken = content[: len(content) // 2]
        case "zeros":
            broken = b"\0" * len(content)
        case _:
            broken = b""
    folder.write("card.json", broken)


def replace_card(path: Path, how: str) -> None:
    path.unlink()
    if how == "folder":
        (path / "nested").mkdir(parents=True)
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("how", ["empty", "zeros", "truncated", "other id", "no version"])
def test_a_damaged_encoder_says_so_and_can_be_deleted(client: Client, how: str) -> None:
    publish(client.runtime, "broken", report={"a.png": b"a"})
    publish(client.runtime, f"whole-{how.replace(' ', '-')}")
    break_card(encoder_folder(client.runtime, "broken"), how)
    assert_damaged(client)


def test_an_encoder_of_a_newer_version_is_refused_until_a_server_knows_it(client: Client) -> None:
    publish(client.runtime, "broken", report={"a.png": b"a"})
    folder = encoder_folder(client.runtime, "broken")
    card = folder.read("card.json")
    folder.write("card.json", card.replace(b'"schema_version": 3', b'"schema_version": 4'))
    sweep(client)
    for answer in (
        client.get("/v1/encoders/broken"),
        client.get("/v1/encoders/broken/report"),
        client.post("/v1/videos", json={**QUICK, "encoder": "broken"}),
    ):
        assert_error(answer, 503, code="encoder_newer", says="newer version")
    listed = client.get("/v1/encoders?limit=100").json()["data"]
    assert "broken" not in [encoder["id"] for encoder in listed]
    folder.write("card.json", card)
    assert client.get("/v1/encoders/broken/report/a.png").content == b"a"
    assert client.delete("/v1/encoders/broken").status_code == 200


@pytest.mark.parametrize("how", ["folder", "pipe"])
def test_an_encoder_whose_card_is_no_file_is_a_damaged_one(
    client: Client, data: Path, how: str
) -> None:
    publish(client.runtime, "broken", report={"a.png": b"a"})
    publish(client.runtime, f"whole-{how}")
    replace_card(data / "encoders/encoders/broken/card.json", how)
    assert_damaged(client)


def assert_damaged(client: Client) -> None:
    """Assert that "broken" is damaged for everybody until it is deleted, and delete it."""
    answer = client.get("/v1/encoders/broken")
    assert_error(answer, 409, code="encoder_damaged", says="Delete it")
    message = answer.json()["error"]["message"]
    assert "\n" not in message
    assert "pydantic" not in message
    listed = [encoder["id"] for encoder in client.get("/v1/encoders?limit=100").json()["data"]]
    assert listed
    assert "broken" not in listed
    sweep(client)  # it is kept until somebody deletes it
    for fields in ({"encoder": "broken"}, {"model": "tiny:broken"}):
        assert_error(client.post("/v1/videos", json={**QUICK, **fields}), 409)
    again = client.post("/v1/encoders", json={**ENCODER, "id": "broken"})
    assert_error(again, 409, code="encoder_damaged")
    assert_error(client.get("/v1/encoders/broken/report"), 409)
    assert client.delete("/v1/encoders/broken").status_code == 200
    assert encoder_folder(client.runtime, "broken").names() == []
    assert_error(client.get("/v1/encoders/broken"), 404)
    assert_error(client.delete("/v1/encoders/broken"), 404)
    card = publish(client.runtime, "broken", seed=2)
    assert client.get("/v1/encoders/broken").json()["digest"] == card.digest
    client.delete("/v1/encoders/broken")


def lost_encoder(client: Client, name: str) -> None:
    """Make an encoder, and remove its files behind the server's back."""
    assert client.post("/v1/encoders", json={**ENCODER, "id": name}).status_code == 200
    assert wait_for(client, f"/v1/encoders/{name}")["status"] == PUBLISHED
    encoder_folder(client.runtime, name).remove()


def test_the_id_of_a_lost_encoder_is_free(client: Client) -> None:
    records = client.runtime.records
    lost_encoder(client, "lost")
    assert client.delete("/v1/encoders/lost").status_code == 200
    assert records.get(EncoderRecord, EncoderRecord.id == "lost") is None
    lost_encoder(client, "lost")
    assert client.post("/v1/encoders", json={**ENCODER, "id": "lost"}).status_code == 200
    assert wait_for(client, "/v1/encoders/lost")["status"] == PUBLISHED
    sweep(client)
    assert records.get(EncoderRecord, EncoderRecord.id == "lost") is not None
    encoder_folder(client.runtime, "lost").remove()
    sweep(client)
    assert records.get(EncoderRecord, EncoderRecord.id == "lost") is None


def test_a_completed_video_without_its_files_says_so(client: Client) -> None:
    video = client.post("/v1/videos", json=QUICK).json()["id"]
    assert wait_for(client, f"/v1/videos/{video}")["status"] == "completed"
    StoredFolder(client.runtime, "videos", video).remove()
    sweep(client)  # the files may be on a disk that is away
    assert client.get(f"/v1/videos/{video}").json()["status"] == "completed"
    assert_error(client.get(f"/v1/videos/{video}/content"), 404, code="content_gone")
    assert client.delete(f"/v1/videos/{video}").status_code == 200


def test_a_job_whose_encoder_is_published_ends_without_judging_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = client.runtime
    with device_held(runtime):
        body = {**ENCODER, "id": "twice"}
        assert client.post("/v1/encoders", json=body).status_code == 200
        record = runtime.records.get(EncoderRecord, EncoderRecord.id == "twice")
        assert record is not None
        publish(runtime, "twice")
        runtime.loaded.staging.publish(runtime.loaded.store.load("twice"))
        workspace = runtime.jobs.workspace(record)
        workspace.save_losses([1.0])  # the optimisation is done
    assert wait_for(client, "/v1/encoders/twice")["status"] == PUBLISHED
    assert workspace.newest() is None
    assert runtime.loaded.store.load("twice").card.measures == {}  # it was not judged


def old(path: Path, content: bytes = b"left") -> Path:
    """Write a file as a server that was killed two hours ago left it, and return it."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for one in (path, *made):
        os.utime(one, (time.time() - 7200,) * 2)
    return path


def test_leftovers_go_and_nothing_else_does(client: Client, data: Path) -> None:
    gone = f"video_{0:032}"
    done = client.post("/v1/videos", json=QUICK).json()["id"]
    assert wait_for(client, f"/v1/videos/{done}")["status"] == "completed"
    card = publish(client.runtime, "stays", report={"a.png": b"a"})
    folder = data / "encoders/encoders/stays" / card.digest[7:23]
    with device_held(client.runtime):
        body = {**ENCODER, "id": "making"}
        assert client.post("/v1/encoders", json=body).status_code == 200
        record = client.runtime.records.get(EncoderRecord, EncoderRecord.id == "making")
        assert record is not None
        left = [
            old(folder / "overrides.safetensors#1"),
            old(folder / ".overrides.safetensors-0123abcd"),
            old(data / "encoders/encoders/half/0123456789abcdef/overrides.safetensors"),
            old(data / "drafts/encoders/ended/card.json"),
            old(data / f"drafts/encoders/encoder_{0:032}.1/card.json"),
            old(data / "drafts/encoders/ended/0123456789abcdef/overrides.safetensors"),
            old(data / "videos" / gone / "video.mp4"),
            old(data / "videos/.unfinished" / ("0" * 32) / "video.mp4"),
            old(data / "making" / f"encoder_{0:032}" / "images-0.npy"),
            old(data / "making" / record.job_id / ".losses.json-0123abcd"),
            old(data / f"base-clips/.{0:064}-0123abcd"),
        ]
        young = (
            data / "making" / f"encoder_{1:032}" / "images-0.npy"
        )  # its job is accepted in a moment
        young.parent.mkdir()
        young.write_bytes(b"images")
        own = old(data / "making" / record.job_id / "images-1.npy")  # it has one concept
        making = ("making", f"{record.job_id}.1")  # by an earlier version, and by this one
        staged = [
            old(data / f"drafts/encoders/{name}/0123456789abcdef/overrides.safetensors")
            for name in making
        ]
        for name in making:
            old(data / f"drafts/encoders/{name}/card.json", b"{")
        sweep(client)
        assert [path for path in left if path.exists()] == []
        assert not (data / "videos" / gone).exists()
        assert young.exists()
        assert own.exists()
        assert all(path.exists() for path in staged)
        client.delete("/v1/encoders/making")
        assert not staged[1].exists()
    assert client.runtime.loaded.store.load("stays").card == card
    assert client.get("/v1/encoders/stays/report/a.png").content == b"a"
    assert client.get(f"/v1/videos/{done}/content").status_code == 200
    shutil.rmtree(young.parent)
    videos = client.runtime.records.all(VideoRecord)
    assert [video.id for video in videos] == [done]
    assert EncoderRef("stays", card.digest) == card.ref


def test_a_publication_that_is_running_loses_nothing(client: Client, data: Path) -> None:
    store = client.runtime.loaded.store
    with store._blobs.writing():
        path = "encoders/soon/0123456789abcdef/overrides.safetensors"
        store._blobs.put_all({path: b"overrides"})
        sweep(client)
        assert (data / "encoders" / path).exists()
    sweep(client)
    assert not (data / "encoders/encoders/soon").exists()


def test_checkpoints_are_written_beside_the_run(tmp_path: Path) -> None:
    pending = [True]
    workspace = Workspace(DirectoryBlobs(tmp_path), "encoder_1", is_wanted=lambda: pending[0])
    checkpoints = Checkpoints(workspace, lambda: b"state")
    checkpoints.after_step()
    assert workspace.load_checkpoint() is None  # not due yet
    checkpoints.after_step(now=True)
    checkpoints.close()
    assert workspace.load_checkpoint() == b"state"
    pending[0] = False
    workspace.discard()
    late = Checkpoints(workspace, lambda: b"late")
    late.after_step(now=True)
    late.close()
    assert list(tmp_path.iterdir()) == []  # a deleted job's folder does not come back


def test_a_step_after_the_run_was_closed_takes_no_checkpoint(tmp_path: Path) -> None:
    workspace = Workspace(DirectoryBlobs(tmp_path), "encoder_1")
    checkpoints = Checkpoints(workspace, lambda: b"state")
    checkpoints.close()  # the encoder was deleted, while its run was in a step
    checkpoints.after_step(now=True)
    assert workspace.load_checkpoint() is None
