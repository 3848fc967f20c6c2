"""Requests to `/v1/videos`: JSON and forms, repeated ones, and those that are refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.server.help import Client, assert_error, download, wait_for
from video import clip

QUICK = {"prompt": "pogo in a meadow", "steps": 2, "frames": 4, "seed": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 100, "frames": 16, "seed": 1}


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
        said = clip.read_provenance(download(client, done["id"]))
        assert (said["steps"], said["frames"], said["guidance"]) == (2, 4, 1.5)
        clips.append(clip.decode_mp4(download(client, done["id"])).tobytes())
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
def test_a_refusal_names_the_field_and_the_limits(
    client: Client, fields: dict[str, Any], param: str | None, says: str
) -> None:
    answer = client.post("/v1/videos", json={**QUICK, **fields})
    assert_error(answer, 400, says=says)
    assert answer.json()["error"]["param"] == param


def test_json_that_is_sent_as_a_form_is_told_so(client: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # curl's -d says this by itself
    for path in ("/v1/videos", "/v1/encoders"):
        answer = client.post(path, content=json.dumps(QUICK).encode(), headers=form)
        assert_error(answer, 400, says="-H 'Content-Type: application/json'")


def test_a_prompt_that_is_too_long_says_where_it_would_be_cut(client: Client) -> None:
    long = "a small red house beside two old trees and " * 20
    error = client.post("/v1/videos", json={**QUICK, "prompt": long}).json()["error"]
    [end] = re.findall(r"after '…([^']*)'", error["message"])
    assert f" {end}" in long


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
