"""Routes of `/v1/videos` over the tiny model, with the real engine, jobs and files."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
from PIL import Image

from tests.server.help import Client, assert_error, device_held, download, publish, wait_for
from tests.server.stored_help import StoredFolder
from video import clip
from video.models.precision import best_dtype

VIDEO_FIELDS = {
    "id",
    "object",
    "model",
    "status",
    "progress",
    "truncated",
    "unjudged",
    "created_at",
    "completed_at",
    "expires_at",
    "prompt",
    "remixed_from_video_id",
    "seconds",
    "size",
    "negative_prompt",
    "seed",
    "steps",
    "guidance",
    "frames",
    "fps",
    "error",
}
QUICK = {"prompt": "pogo in a meadow", "steps": 2, "frames": 4, "seed": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 100, "frames": 16, "seed": 1}


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/videos", json={**QUICK, **fields})
    assert answer.status_code == 200, answer.text
    return wait_for(client, f"/v1/videos/{answer.json()['id']}")


def test_a_video_is_openais_object_from_queued_to_completed(client: Client) -> None:
    answer = client.post("/v1/videos", json={**QUICK, "size": "128x128", "fps": 4})
    queued = answer.json()
    assert set(queued) == VIDEO_FIELDS
    assert queued["status"] == "queued"
    assert queued["progress"] == 0
    assert int(answer.headers["openai-poll-after-ms"]) > 0
    done = wait_for(client, f"/v1/videos/{queued['id']}")
    assert done["status"] == "completed"
    assert (done["progress"], done["seconds"], done["size"]) == (100, "1", "128x128")
    assert done["completed_at"] >= done["created_at"]
    assert done["error"] is None
    frames = clip.decode_mp4(download(client, done["id"]))
    assert frames.shape == (4, 128, 128, 3)


def test_progress_is_told_while_it_is_made(client: Client) -> None:
    video = client.post("/v1/videos", json=LONG).json()
    seen: set[int] = set()
    while (now := client.get(f"/v1/videos/{video['id']}").json())["status"] != "completed":
        assert now["status"] in ("queued", "in_progress")
        seen.add(now["progress"])
        time.sleep(0.05)
    assert len(seen) >= 3
    assert max(seen) < 100


def test_the_mp4_says_how_it_was_made_and_the_same_seed_makes_it_again(client: Client) -> None:
    first, second = make(client), make(client)
    data = download(client, first["id"])
    said = clip.read_provenance(data)
    backbone = client.runtime.loaded.backbone
    assert said["dtype"] == str(best_dtype("cpu")).removeprefix("torch.")
    assert said["encoder_identity"] is None
    assert said["base"] == backbone.text_encoder.fingerprint
    assert (said["id"], said["model"]) == (first["id"], backbone.name)
    assert (said["seed"], said["steps"]) == (1, 2)
    assert np.array_equal(clip.decode_mp4(data), clip.decode_mp4(download(client, second["id"])))


def test_an_encoder_is_named_in_either_field_and_pinned(client: Client) -> None:
    card = publish(client.runtime, "no-pogo")
    root = client.runtime.loaded.backbone.name
    assert client.put("/v1/aliases/policy", json={"encoder": "no-pogo"}).status_code == 200
    base = clip.decode_mp4(download(client, make(client)["id"]))
    for fields in (
        {"encoder": "no-pogo"},
        {"model": f"{root}:no-pogo"},
        {"model": f"{root}:policy"},
        {"model": root, "encoder": "policy"},
        {"model": f"{root}:policy", "encoder": "policy"},
    ):
        video = make(client, **fields)
        assert video["model"] == f"{root}:no-pogo"
        data = download(client, video["id"])
        said = clip.read_provenance(data)
        assert said["encoder_identity"] == card.identity
        assert not np.array_equal(clip.decode_mp4(data), base)
    unnamed = download(client, make(client, model=root)["id"])
    assert clip.read_provenance(unnamed)["encoder_identity"] is None
    conflict = {**QUICK, "model": f"{root}:policy", "encoder": "no-pogo"}
    assert_error(client.post("/v1/videos", json=conflict), 400, code="encoder_conflict")


def test_a_video_whose_encoder_has_gone_fails_and_is_never_the_bases(client: Client) -> None:
    publish(client.runtime, "gone")
    publish(client.runtime, "replaced", seed=2)
    with device_held(client.runtime):
        videos = {
            name: client.post("/v1/videos", json={**QUICK, "encoder": name}).json()["id"]
            for name in ("gone", "replaced")
        }
        for name in videos:
            assert client.delete(f"/v1/encoders/{name}").status_code == 200
        publish(client.runtime, "replaced", seed=3)
    # The second was gone for a moment, too.
    codes = {"gone": {"encoder_not_found"}, "replaced": {"encoder_invalid", "encoder_not_found"}}
    for name, possible in codes.items():
        done = wait_for(client, f"/v1/videos/{videos[name]}")
        assert done["status"] == "failed"
        assert done["error"]["code"] in possible
        answer = client.get(f"/v1/videos/{videos[name]}/content")
        assert_error(answer, 409, code="video_failed", says=done["error"]["message"])
        assert answer.headers["x-should-retry"] == "false"


def test_a_video_is_made_in_the_time_it_is_given_or_fails(client: Client) -> None:
    with device_held(client.runtime):
        late = client.post("/v1/videos", json={**QUICK, "deadline_after": 1}).json()["id"]
        soon = client.post("/v1/videos", json={**QUICK, "deadline_after": 600}).json()["id"]
        time.sleep(2.1)
    done = wait_for(client, f"/v1/videos/{late}")
    assert (done["status"], done["error"]["code"]) == ("failed", "deadline_exceeded")
    assert wait_for(client, f"/v1/videos/{soon}")["status"] == "completed"
    answer = client.post("/v1/videos", json={**QUICK, "deadline_after": 0})
    assert_error(answer, 400, says="deadline_after")


def test_content_comes_in_three_variants_with_head_and_ranges(client: Client) -> None:
    video = make(client)
    path = f"/v1/videos/{video['id']}/content"
    whole = client.get(path)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(whole.content)
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert client.get(path, headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    beyond = client.get(path, headers={"Range": "bytes=99999999-"})
    assert_error(beyond, 416, code="range_not_satisfiable")
    unknown = client.get(path, headers={"Range": "bytes=x-y"})  # ignored (RFC 9110, 14.2)
    assert (unknown.status_code, unknown.content) == (200, whole.content)
    for variant, size in (("thumbnail", (64, 64)), ("spritesheet", (128, 128))):
        answer = client.get(path, params={"variant": variant})
        assert answer.headers["content-type"] == "image/webp"
        assert Image.open(io.BytesIO(answer.content)).size == size
        assert client.head(path, params={"variant": variant}).status_code == 200
    assert_error(client.get(path, params={"variant": "gif"}), 400)


def test_deleting_a_running_video_stops_it_and_removes_it(client: Client) -> None:
    video = client.post("/v1/videos", json=LONG).json()
    path = f"/v1/videos/{video['id']}"
    while client.get(path).json()["status"] == "queued":
        time.sleep(0.01)
    early = client.get(f"{path}/content")
    assert_error(early, 409, code="video_not_ready")
    assert early.headers["x-should-retry"] == "false"
    engine = client.runtime.loaded.engine
    assert engine.stats().in_flight == 1
    deleted = client.delete(path)
    assert deleted.json() == {"id": video["id"], "object": "video.deleted", "deleted": True}
    assert_error(client.get(path), 404)
    assert_error(client.get(f"{path}/content"), 404)
    assert_error(client.delete(path), 404)
    until = time.monotonic() + 30
    while engine.stats().in_flight:
        assert time.monotonic() < until, "the engine still works on a deleted video"
        time.sleep(0.01)
    assert make(client)["status"] == "completed"


def test_deleting_a_finished_video_removes_its_files(client: Client) -> None:
    video = make(client)
    files = StoredFolder(client.runtime, "videos", video["id"])
    assert len(files.names()) == 3
    assert client.delete(f"/v1/videos/{video['id']}").status_code == 200
    assert files.names() == []


def test_lists_go_page_by_page_in_both_directions(client: Client) -> None:
    made = [make(client, seed=seed)["id"] for seed in range(5)]
    everything = client.get("/v1/videos", params={"limit": 100}).json()
    ids = [video["id"] for video in everything["data"]]
    assert ids[:5] == made[::-1]
    assert (everything["object"], everything["has_more"]) == ("list", False)
    assert (everything["first_id"], everything["last_id"]) == (ids[0], ids[-1])
    for order, expected in (("desc", ids), ("asc", ids[::-1])):
        walked: list[str] = []
        params: dict[str, Any] = {"limit": 2, "order": order}
        while True:
            page = client.get("/v1/videos", params=params).json()
            walked += [video["id"] for video in page["data"]]
            if not page["has_more"]:
                break
            params["after"] = page["last_id"]
        assert walked == expected
    assert_error(client.get("/v1/videos", params={"after": "video_none"}), 404)
    for bad in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"order": "up"}):
        assert_error(client.get("/v1/videos", params=bad), 400)
