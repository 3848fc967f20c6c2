"""A server whose files lie in a bucket: made, sent, continued, deleted and swept."""

from __future__ import annotations

import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.data_directory import open_store
from cli.errors import CommandFailed
from encoders.object_blobs import ObjectBlobs
from encoders.store import EncoderStore
from server.jobs import checkpoints, judging
from server.jobs.leftovers import Leftovers
from server.jobs.workspace import Workspace
from server.settings import Settings
from server.storage.bucket_probe import StoreUnfit, check_store
from server.storage.data_directory import DataDirectory
from server.storage.records import EncoderRecord
from server.storage.storage_errors import StorageAway
from server.storage.video_files import Variant
from tests.object_server import ObjectServer
from tests.server.conftest import MakeClient
from tests.server.help import (
    SERVER_TIMEOUT_S,
    Client,
    assert_error,
    bearer,
    device_held,
    publish,
    wait_for,
    write_keys,
)
from tests.server.test_dispatcher import until
from video import clip

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 2, "seed": 1}
GATE = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}
KEPT = ("records.sqlite", "jobs.sqlite", "server.lock")
"""Files of the data directory that a server with a bucket needs, and SQLite's beside them."""


@pytest.fixture(scope="module")
def bucket(object_server: ObjectServer) -> str:
    return f"{object_server.bucket()}/some/prefix"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bucket") / "data"


@pytest.fixture(scope="module")
def client(make_client: MakeClient, bucket: str, data: Path) -> Client:
    return make_client(store=bucket, data_dir=data, **GATE)


@pytest.fixture
def blobs(bucket: str) -> ObjectBlobs:
    return ObjectBlobs(bucket)


def paths(blobs: ObjectBlobs, folder: str = "") -> list[str]:
    return sorted(item.path for item in blobs.walk(folder) if "palimpsest-folder" not in item.path)


def made(client: Client, key: str | None = None) -> str:
    answer = client.post("/v1/videos", json=QUICK, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    video: str = answer.json()["id"]
    assert wait_for(client, f"/v1/videos/{video}", key=key)["status"] == "completed"
    return video


def test_a_video_is_sent_from_the_bucket_and_goes_with_its_deletion(
    client: Client, blobs: ObjectBlobs, data: Path
) -> None:
    video = made(client)
    row = client.runtime.jobs.context.workspace_ids()
    assert row == []
    assert [path.split("/", 3)[3] for path in paths(blobs, f"videos/{video}")] == [
        "spritesheet.webp",
        "thumbnail.webp",
        "video.mp4",
    ]
    url = f"/v1/videos/{video}/content"
    whole = client.get(url)
    assert clip.decode_mp4(whole.content).shape[0] == 2
    tag = whole.headers["etag"]
    part = client.get(url, headers={"Range": "bytes=10-19", "If-Range": tag})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert client.get(url, headers={"Range": "bytes=0-1", "If-Range": '"x"'}).status_code == 200
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
    date = {"If-Modified-Since": whole.headers["last-modified"]}
    assert client.get(url, headers=date).status_code == 304
    variant: Variant = "thumbnail"
    assert client.get(url, params={"variant": variant}).content[8:12] == b"WEBP"
    assert client.head(url).headers["content-length"] == str(len(whole.content))
    assert not [path for path in data.rglob("*") if path.is_file() and not is_kept(path)]
    blobs.remove([path for path in paths(blobs, f"videos/{video}") if path.endswith(".mp4")])
    assert_error(client.get(url), 404, code="content_gone")
    assert client.delete(f"/v1/videos/{video}").status_code == 200
    assert paths(blobs, f"videos/{video}") == []


def is_kept(path: Path) -> bool:
    return path.name.startswith(KEPT)


def test_an_encoder_continues_from_its_checkpoint_in_the_bucket(
    make_client: MakeClient, bucket: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "INTERVAL_S", 0.0)
    monkeypatch.setattr(checkpoints, "_MOST_TIME", 1.0)
    loaded: list[bytes | None] = []
    load = Workspace.load_checkpoint

    def noted(workspace: Workspace) -> bytes | None:
        loaded.append(load(workspace))
        return loaded[-1]

    monkeypatch.setattr(Workspace, "load_checkpoint", noted)
    settings = {"store": bucket, "data_dir": data, **GATE}
    first: Client = make_client(**settings)
    body = {"id": "made", "concept": "pogo", "kind": "character", "settings": {"steps": 40}}
    assert first.post("/v1/encoders", json=body).status_code == 200
    making = ObjectBlobs(f"{bucket}/making")
    until(lambda: any("checkpoint" in path for path in paths(making)), "no checkpoint")
    assert first.get("/v1/encoders/made").json()["status"] != "published"
    [folder] = making.subfolders("")
    images = making.read(f"{folder}/1/images-0.npy", 1 << 30)
    second: Client = make_client(**settings)
    done = wait_for(second, "/v1/encoders/made", seconds=SERVER_TIMEOUT_S)
    assert done["status"] == "published", done
    assert images is not None
    assert loaded[0] is None
    assert loaded[-1] is not None
    blobs = ObjectBlobs(bucket)
    until(lambda: not paths(making), "the workspace stays")
    until(lambda: not paths(blobs, "drafts"), "the draft stays")
    assert any(path.endswith("card.json") for path in paths(blobs, "encoders/encoders/made"))
    assert len(paths(blobs, "base-clips")) > 0
    report = second.get("/v1/encoders/made/report", params={"format": "json"})
    assert report.json()["card"]["id"] == "made"
    video = second.post("/v1/videos", json={**QUICK, "encoder": "made"}).json()["id"]
    assert wait_for(second, f"/v1/videos/{video}")["status"] == "completed"
    assert second.delete("/v1/encoders/made").status_code == 200
    assert paths(blobs, "encoders") == []


def test_what_belongs_to_no_record_is_swept(
    make_client: MakeClient, bucket: str, data: Path, blobs: ObjectBlobs
) -> None:
    client: Client = make_client(store=bucket, data_dir=data, **GATE)
    video = made(client)
    publish(client.runtime, "stays")
    kept = paths(blobs)
    attempt = int(kept[-1].split("/")[2])
    gone, foreign = f"video_{0:032}", ["videos/holiday.mp4", "making/notes", "elsewhere/x"]
    left = [
        f"videos/{gone}/1/video.mp4",
        f"videos/{video}/{attempt + 1}/video.mp4",  # of a server that was taken for dead
        f"making/encoder_{0:032}/images-0.npy",
        "encoders/encoders/half/0123456789abcdef/overrides.safetensors",
        "drafts/encoders/half/0123456789abcdef/overrides.safetensors",
    ]
    blobs.put_all(dict.fromkeys([*left, *foreign], b"x"))
    context = client.runtime.jobs.context
    Leftovers(context).sweep(time.time())
    # Without a job, but young: its request may be on its way.
    assert set(paths(blobs)) == {*kept, *foreign, *left[2:]}
    Leftovers(context).sweep(time.time() + 7200)
    for store in (client.runtime.loaded.store, client.runtime.loaded.staging):
        store.sweep(timedelta(0))
    assert set(paths(blobs)) == {*kept, *foreign}
    assert client.get(f"/v1/videos/{video}/content").status_code == 200
    blobs.remove(foreign)


def test_an_attempt_that_was_shut_out_takes_nothing_from_a_later_one(
    make_client: MakeClient, bucket: str, data: Path
) -> None:
    client: Client = make_client(store=bucket, data_dir=data, **GATE)
    context, records = client.runtime.jobs.context, client.runtime.records
    body = {"id": "twice", "concept": "pogo", "kind": "character", "settings": {"steps": 1}}
    with device_held(client.runtime):
        assert client.post("/v1/encoders", json=body).status_code == 200
        until(lambda: client.get("/v1/encoders/twice").json()["status"] != "queued", "not begun")
        row = records.get(EncoderRecord, EncoderRecord.id == "twice")
        late = records.get(EncoderRecord, EncoderRecord.id == "twice")
        assert row is not None
        assert late is not None
        assert records.change(row, attempt=row.attempt + 1)
        row.attempt += 1
        later = context.workspace(row)
        later.save_losses([1.0])
        context.workspace(late).save_checkpoint(b"late")
        context.fail(late, RuntimeError("of a server that was taken for dead"))
        assert later.load_losses() == [1.0]
        assert not later.has_checkpoint()
        card = publish(client.runtime, "twice")
        judging._end(context, late, card)
        assert client.runtime.loaded.store.has("twice")
        assert client.get("/v1/encoders/twice").json()["status"] != "failed"
        records.remove(row)
        judging._end(context, late, card.model_copy(update={"created_at": datetime.now(UTC)}))
        assert client.runtime.loaded.store.has("twice"), "that of another was deleted"
        judging._end(context, late, card)  # nobody needs it now
        assert not client.runtime.loaded.store.has("twice")
    context.discard(row)


def test_a_redirect_leads_who_may_see_the_video_to_the_store(
    make_client: MakeClient, bucket: str, data: Path, tmp_path: Path
) -> None:
    keys = write_keys(
        tmp_path / "keys.json",
        acme={"role": "user", "encoders": ["base"], "default_encoder": "base"},
        other={"role": "user", "encoders": ["base"], "default_encoder": "base"},
    )
    client: Client = make_client(
        store=bucket, data_dir=data, keys_file=keys, store_redirect=True, **GATE
    )
    client.follow_redirects = False
    video = made(client, "secret-acme")
    url = f"/v1/videos/{video}/content"

    def ask(url: str, key: str | None = "secret-acme", **headers: str) -> Any:
        return client.get(url, headers={**bearer(key), **headers})

    answer = ask(url)
    assert (answer.status_code, answer.content) == (307, b"")
    assert answer.headers["cache-control"] == "no-store"
    place = answer.headers["location"]
    assert "X-Amz-Expires=300&" in place
    assert "a-secret-of-the-tests" not in place
    request = urllib.request.Request(place, headers={"Range": "bytes=4-7"})
    with urllib.request.urlopen(request) as sent:
        assert (sent.status, sent.read()) == (206, b"ftyp")
        assert sent.headers["Content-Type"] == "video/mp4"
    assert_error(ask(url, "secret-other"), 404)
    assert_error(ask(url, None), 401)
    assert_error(ask(f"/v1/videos/video_{0:032}/content"), 404)
    saved = ask(f"{url}?download=1")
    assert (saved.status_code, saved.content[4:8]) == (200, b"ftyp")
    tag = saved.headers["etag"]
    assert ask(url, **{"If-None-Match": tag}).status_code == 304
    assert client.head(url, headers=bearer("secret-acme")).status_code == 200
    synchronous = client.post("/v1/videos/sync", json=QUICK, headers=bearer("secret-acme"))
    assert (synchronous.status_code, synchronous.content[4:8]) == (200, b"ftyp")
    client.runtime.files.delete(video)
    assert_error(ask(url), 404, code="content_gone")


def test_a_bucket_belongs_to_one_database(bucket: str, tmp_path: Path, client: Client) -> None:
    with pytest.raises(StoreUnfit, match=f"{bucket} belongs to the database"):
        DataDirectory(Settings(data_dir=tmp_path, store=bucket))


def test_the_command_line_works_on_the_bucket(
    bucket: str, client: Client, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIMPSEST_STORE", bucket)
    stored = EncoderStore(f"{bucket}/encoders").ids()
    assert open_store(must_exist=True).ids() == stored == ["stays"]
    monkeypatch.setenv("PALIMPSEST_STORE", object_server.bucket())
    with pytest.raises(CommandFailed, match="palimpsest-folder"):
        open_store(must_exist=False)


def test_a_bucket_that_is_not_there_is_waited_for(tmp_path: Path, object_server: Any) -> None:
    settings = Settings(data_dir=tmp_path, store="s3://there-is-none")
    check_store(settings.store)  # the server starts
    with pytest.raises(StorageAway, match="s3://there-is-none cannot be used"):
        DataDirectory(settings)
    object_server.request("PUT", "there-is-none")
    DataDirectory(settings).close()
