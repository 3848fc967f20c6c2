"""Pictures that a client sent for an encoder: kept for the time that the settings say."""

from __future__ import annotations

import io
import json
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from encoders.directory_blobs import DirectoryBlobs
from server.jobs.housekeeping import sweep
from server.jobs.leftovers import Leftovers
from server.jobs.workspace import Workspace
from server.storage.records import EncoderRecord
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, device_held, wait_for
from tests.server.stored_help import StoredFolder, data_folder, encoder_folder

KEPT_S, LIFETIME_S = 1000, 100
SETTINGS = {
    "min_base_rate": 0.0,
    "max_probes": 1,
    "judged_videos": 1,
    "video_lifetime_seconds": LIFETIME_S,
}
ONLY_PICTURES = ["pictures.npy"]


def picture() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def send(client: Client, name: str, *, gate: dict[str, float] | None = None) -> StoredFolder:
    """Ask for an encoder that learns from a picture, and return its job's folder."""
    fields = {
        "id": name,
        "concept": "pogo",
        "kind": "character",
        "settings": json.dumps({"method": "ascent", "steps": 1}),
        "gate": json.dumps(gate or {}),
    }
    files = [("images[]", ("x.png", picture(), "image/png"))]
    answer = client.post("/v1/encoders", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    return folder_of(client, name)


def folder_of(client: Client, name: str) -> StoredFolder:
    runtime = client.runtime
    record = runtime.records.get(EncoderRecord, EncoderRecord.id == name)
    assert record is not None
    return StoredFolder(runtime, "making", record.job_id)


def _apart_from_failure(names: list[str]) -> list[str]:
    """Leave out the pairs that failed an encoder, which stay with its record."""
    return [name for name in names if "failure/" not in name]


def ended(client: Client, name: str) -> dict[str, Any]:
    """Wait until the job has ended and its folder is cleared up."""
    found = wait_for(client, f"/v1/encoders/{name}")
    until = time.monotonic() + 30
    while len(_apart_from_failure(folder_of(client, name).names())) > 1:
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def sweep_all(client: Client, now: float) -> None:
    context = client.runtime.jobs.context
    sweep(context, now)
    Leftovers(context).sweep(now)


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    return make_client(**SETTINGS, picture_retention_seconds=KEPT_S)


def test_pictures_of_a_published_encoder_stay_for_their_time_and_nothing_else_does(
    client: Client,
) -> None:
    with device_held(client.runtime):
        folder = send(client, "sent")
        assert folder.names() == ONLY_PICTURES
        kept = folder.read("pictures.npy")
    made = ended(client, "sent")
    assert (made["status"], made["settings"]["images"]) == ("published", [1]), made
    assert folder.names() == ONLY_PICTURES
    # A server that was killed at the end of the job left the rest too.
    for name in ("checkpoint.safetensors", "shown/clip.npz", "images-0.npy", ".x-0123abcd"):
        folder.write(name, b"left")
    sweep_all(client, made["completed_at"] + KEPT_S - 1)
    assert folder.names() == ONLY_PICTURES
    assert folder.read("pictures.npy") == kept
    sweep_all(client, made["completed_at"] + KEPT_S)
    assert folder.names() == []
    assert client.get("/v1/encoders/sent").json()["status"] == "published"


def test_pictures_are_for_the_servers_user_alone(client: Client) -> None:
    making = data_folder(client.runtime, "making")
    with device_held(client.runtime):
        send(client, "private")
        [path] = making.glob("*/pictures.npy")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert client.delete("/v1/encoders/private").status_code == 200
    assert not path.parent.exists()


def test_pictures_of_a_failed_encoder_stay_with_its_record_and_go_with_it(client: Client) -> None:
    folder = send(client, "failed", gate={"min_base_rate": 1.0})
    failed = ended(client, "failed")
    assert failed["error"]["code"] == "gate_failed", failed
    kept = folder.names()
    assert _apart_from_failure(kept) == ONLY_PICTURES
    assert len(kept) > 1, "the pairs that failed it stay for as long as its record, too"
    sweep_all(client, failed["completed_at"] + KEPT_S - 1)
    assert folder.names() == kept
    assert client.get("/v1/encoders/failed").status_code == 200
    assert client.delete("/v1/encoders/failed").status_code == 200
    assert folder.names() == []
    # The next one's record goes while its pictures are due, and the leftovers are not swept.
    folder = send(client, "failed", gate={"min_base_rate": 1.0})
    failed = ended(client, "failed")
    sweep(client.runtime.jobs.context, failed["completed_at"] + KEPT_S)
    assert_error(client.get("/v1/encoders/failed"), 404)
    assert folder.names() == []


def test_pictures_go_when_their_encoder_is_lost_made_again_or_its_owner_is_erased(
    client: Client,
) -> None:
    lost = send(client, "again")
    assert ended(client, "again")["status"] == "published"
    encoder_folder(client.runtime, "again").remove()
    with device_held(client.runtime):
        again = send(client, "again")
        assert lost.names() == []
        assert again.names() == ONLY_PICTURES
    assert ended(client, "again")["status"] == "published"
    encoder_folder(client.runtime, "again").remove()
    Leftovers(client.runtime.jobs.context).sweep(time.time())
    assert again.names() == []
    kept = send(client, "again")
    assert ended(client, "again")["status"] == "published"
    with device_held(client.runtime):
        making = send(client, "making")
        assert kept.names() == making.names() == ONLY_PICTURES
        erased = client.delete("/v1/tenants/local").json()
        assert erased["encoder_jobs"] >= 2
        assert kept.names() == making.names() == []
    assert client.get("/v1/encoders/again").json()["status"] == "published"
    client.delete("/v1/encoders/again")


def test_pictures_stay_over_a_restart_and_until_a_setting_of_zero(make_client: MakeClient) -> None:
    client = make_client(**SETTINGS, picture_retention_seconds=KEPT_S)
    data = client.runtime.settings.data_dir
    folder = send(client, "sent")
    body = {"concept": "pogo", "kind": "character", "settings": {"method": "ascent", "steps": 1}}
    assert client.post("/v1/encoders", json={**body, "id": "made"}).status_code == 200
    assert ended(client, "sent")["status"] == ended(client, "made")["status"] == "published"
    wait_gone(folder_of(client, "made"))  # the server itself made its images
    folder.write("losses.json", b"[]")
    client = make_client(**SETTINGS, picture_retention_seconds=KEPT_S, data_dir=data)
    assert folder.names() == ONLY_PICTURES
    client = make_client(**SETTINGS, data_dir=data)
    assert folder.names() == []


def wait_gone(folder: StoredFolder) -> None:
    until = time.monotonic() + 30
    while folder.names():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_pending_job_of_an_earlier_version_finds_its_pictures(tmp_path: Path) -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    workspace = Workspace(DirectoryBlobs(tmp_path), "encoder_1")
    workspace.save_images(0, images + 1)  # where a client's were too
    assert workspace.has_images(0)
    assert not workspace.has_pictures()
    np.testing.assert_array_equal(workspace.load_images(0), images + 1)
    workspace.save_pictures(images + 2)
    np.testing.assert_array_equal(workspace.load_images(0), images + 2)
    assert not workspace.has_images(1)
    workspace.discard()
    workspace.discard_all_but(pictures=True, failure=False)
    assert list(tmp_path.iterdir()) == []
