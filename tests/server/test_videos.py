"""``/v1/videos`` over the tiny model: the real engine, the real jobs, real files."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.server.help import Client, assert_error, device_held, publish, wait_for
from video import clip
from video.models.precision import best_dtype

VIDEO_FIELDS = {
    "id",
    "object",
    "model",
    "status",
    "progress",
    "created_at",
    "completed_at",
    "expires_at",
    "prompt",
    "remixed_from_video_id",
    "seconds",
    "size",
    "error",
}
QUICK = {"prompt": "pogo in a meadow", "steps": 2, "frames": 4, "seed": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 100, "frames": 16, "seed": 1}


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/videos", json={**QUICK, **fields})
    assert answer.status_code == 200, answer.text
    return wait_for(client, f"/v1/videos/{answer.json()['id']}")


def content(client: Client, video_id: str, variant: str = "video") -> bytes:
    answer = client.get(f"/v1/videos/{video_id}/content", params={"variant": variant})
    assert answer.status_code == 200, answer.text
    return answer.content


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
    frames = clip.decode_mp4(content(client, done["id"]))
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
    data = content(client, first["id"])
    said = clip.read_provenance(data)
    backbone = client.runtime.loaded.backbone
    assert said["encoder"] == "base"
    assert said["dtype"] == str(best_dtype("cpu")).removeprefix("torch.")
    assert said["encoder_digest"] is None
    assert said["base"] == backbone.text_encoder.fingerprint
    assert (said["seed"], said["steps"], said["prompt"]) == (1, 2, QUICK["prompt"])
    assert np.array_equal(clip.decode_mp4(data), clip.decode_mp4(content(client, second["id"])))


def test_an_encoder_is_named_in_either_field_and_pinned(client: Client) -> None:
    card = publish(client.runtime, "no-pogo")
    root = client.runtime.loaded.backbone.name
    assert client.put("/v1/aliases/policy", json={"encoder": "no-pogo"}).status_code == 200
    base = clip.decode_mp4(content(client, make(client)["id"]))
    for fields in (
        {"encoder": "no-pogo"},
        {"model": f"{root}:no-pogo"},
        {"model": f"{root}:policy"},
        {"model": root, "encoder": "policy"},
        {"model": f"{root}:policy", "encoder": "policy"},
    ):
        video = make(client, **fields)
        assert video["model"] == f"{root}:no-pogo"
        data = content(client, video["id"])
        said = clip.read_provenance(data)
        assert (said["encoder"], said["encoder_digest"]) == ("no-pogo", card.digest)
        assert not np.array_equal(clip.decode_mp4(data), base)
    assert (
        clip.read_provenance(content(client, make(client, model=root)["id"]))["encoder"] == "base"
    )
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
    for name, code in (("gone", "encoder_not_found"), ("replaced", "encoder_invalid")):
        done = wait_for(client, f"/v1/videos/{videos[name]}")
        assert (done["status"], done["error"]["code"]) == ("failed", code)
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


def test_json_forms_and_their_aliases_mean_the_same(client: Client) -> None:
    form = {
        "prompt": QUICK["prompt"],
        "num_inference_steps": "2",
        "num_frames": "4",
        "guidance_scale": "1.5",
        "seed": "1",
    }
    multipart = client.post("/v1/videos", files={key: (None, value) for key, value in form.items()})
    urlencoded = client.post("/v1/videos", data=form)
    plain = client.post("/v1/videos", json={**QUICK, "guidance": 1.5})
    clips: list[bytes] = []
    for answer in (multipart, urlencoded, plain):
        assert answer.status_code == 200, answer.text
        done = wait_for(client, f"/v1/videos/{answer.json()['id']}")
        said = clip.read_provenance(content(client, done["id"]))
        assert (said["steps"], said["frames"], said["guidance"]) == (2, 4, 1.5)
        clips.append(clip.decode_mp4(content(client, done["id"])).tobytes())
    assert clips[0] == clips[1] == clips[2]


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": " \n"}, "prompt", "empty"),
        ({"prompt": None}, "prompt", "string"),
        ({"prompt": "a" * 1001}, "prompt", "1000"),
        ({"prompt": "pogo in a meadow " * 20}, "prompt", "tokens"),
        ({"negative_prompt": "a" * 1001}, "negative_prompt", "1000"),
        ({"steps": 0}, "steps", "1"),
        ({"steps": 101}, "steps", "1 to 100"),
        ({"steps": True}, "steps", "number"),
        ({"frames": 17}, "frames", "1 to 16"),
        ({"frames": -1}, "frames", "1"),
        ({"frames": None, "seconds": "4"}, "seconds", "2 seconds"),
        ({"frames": None, "seconds": 0.3}, "seconds", "whole number"),
        ({"frames": 4, "seconds": 1}, "seconds", "send one"),
        ({"seed": -1}, "seed", "0"),
        ({"seed": 2**63}, "seed", str(2**63 - 1)),
        ({"guidance": 31}, "guidance", "30"),
        ({"fps": 61}, "fps", "60"),
        ({"size": "720x1280"}, "size", "64x64"),
        ({"size": "65x65"}, "size", "even"),
        ({"size": "32x32"}, "size", "64x64"),
        ({"size": "4096x4096"}, "size", "1024x1024"),
        ({"size": "big"}, "size", "512x512"),
        ({"width": 65, "height": 65}, "width", "even"),
        ({"width": 64}, None, "height"),
        ({"width": 64, "height": 64, "size": "64x64"}, None, "not both"),
        ({"input_reference": "data:image/png;base64,"}, "input_reference", "text only"),
        ({"stepz": 3}, "stepz", "Unknown field"),
        ({"lora": "x"}, "lora", "Unknown field"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(
    client: Client, fields: dict[str, Any], param: str | None, says: str
) -> None:
    answer = client.post("/v1/videos", json={**QUICK, **fields})
    assert_error(answer, 400, says=says)
    assert answer.json()["error"]["param"] == param


def test_a_file_is_refused_wherever_it_is_sent(client: Client) -> None:
    for field in ("input_reference", "prompt", "encoder", "seed", "unknown"):
        form = {"prompt": (None, "pogo"), field: ("x.png", b"image", "image/png")}
        answer = client.post("/v1/videos", files=form)
        assert_error(answer, 400)
        assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize("name", ["nobody", "../base", "A", "", "a..b", "x" * 64])
def test_unknown_and_impossible_encoders_are_refused(client: Client, name: str) -> None:
    root = client.runtime.loaded.backbone.name
    for fields in ({"encoder": name}, {"model": f"{root}:{name}"}):
        answer = client.post("/v1/videos", json={**QUICK, **fields})
        assert_error(answer, 404 if name == "nobody" else 400)
    assert_error(client.post("/v1/videos", json={**QUICK, "model": "sora-2"}), 404, says=root)


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
    assert_error(client.get(path, headers={"Range": "bytes=x-y"}), 400)
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
    file = client.runtime.files.path(video["id"], "video")
    assert file.is_file()
    assert client.delete(f"/v1/videos/{video['id']}").status_code == 200
    assert not file.parent.exists()


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


def test_an_idempotency_key_makes_one_video(client: Client) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/v1/videos", json=QUICK, headers=headers).json()
    again = client.post("/v1/videos", json=QUICK, headers=headers).json()
    form = {key: (None, str(value)) for key, value in QUICK.items()}
    as_form = client.post("/v1/videos", files=form, headers=headers).json()
    assert first["id"] == again["id"] == as_form["id"]
    other = client.post("/v1/videos", json={**QUICK, "seed": 2}, headers=headers)
    assert_error(other, 422, code="idempotency_key_reused")
    long = client.post("/v1/videos", json=QUICK, headers={"Idempotency-Key": "x" * 256})
    assert_error(long, 400)


def test_a_full_queue_refuses_posts_and_nothing_else(client: Client, make_client: Any) -> None:
    small = make_client(max_queued_videos=2)
    videos = [small.post("/v1/videos", json=LONG).json()["id"] for _ in range(2)]
    refused = small.post("/v1/videos", json=QUICK)
    assert_error(refused, 429, code="queue_full")
    assert int(refused.headers["retry-after"]) > 0
    for _ in range(20):
        assert small.get(f"/v1/videos/{videos[0]}").status_code == 200
    assert small.get("/v1/videos").status_code == 200
    for video in videos:
        assert small.delete(f"/v1/videos/{video}").status_code == 200
    assert small.post("/v1/videos", json=QUICK).status_code == 200
