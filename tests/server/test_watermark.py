"""Watermarks of a server: off, on and required, and copies that have lost everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from server.jobs.watermark import Watermark, WatermarkFailed
from tests.server.conftest import MakeClient
from tests.server.help import Client, bearer, publish, wait_for, write_keys
from video.clip import decode_mp4, encode_mp4

ADMIN, ACME, OTHER = (bearer(f"secret-{name}") for name in ("admin", "acme", "other"))
BODY = {"prompt": "a meadow", "encoder": "no-pogo", "steps": 1, "frames": 4, "size": "256x256"}


def server(make_client: MakeClient, home: Any, **settings: Any) -> Client:
    keys = write_keys(
        home / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["no-pogo"]},
        other={"role": "user", "encoders": ["no-pogo"]},
    )
    client = make_client(keys_file=keys, **settings)
    publish(client.runtime, "no-pogo")
    return client


def made(client: Client, **changes: Any) -> dict[str, Any]:
    video = client.post("/v1/videos", json={**BODY, **changes}, headers=ACME).json()["id"]
    return wait_for(client, f"/v1/videos/{video}", key="secret-acme")


def mp4_of(client: Client, video: str) -> bytes:
    return client.get(f"/v1/videos/{video}/content", headers=ACME).content


def copied(mp4: bytes) -> bytes:
    """Return a re-encoded copy of half the frames: no metadata is left, and no signature."""
    return encode_mp4(decode_mp4(mp4)[:2], 8)


def verified(client: Client, data: bytes, headers: dict[str, str] = ADMIN) -> dict[str, Any]:
    answer = client.post("/v1/verify", files={"file": ("clip", data)}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_copy_leads_back_to_its_record(make_client: MakeClient, tmp_path: Any) -> None:
    client = server(make_client, tmp_path, watermark="on")
    videos = [made(client, seed=seed)["id"] for seed in range(3)]
    for video in videos:
        found = verified(client, copied(mp4_of(client, video)))
        assert (found["state"], found["signature"]) == ("not_marked", None)
        assert found["watermark"]["is_ours"]
        assert found["watermark"]["bound"] < 1e-6
        assert (found["record"]["video"], found["record"]["owner"]) == (video, "acme")
        assert found["record"]["unchanged"] is False
        assert "watermark" in found["verdict"]
    copy = copied(mp4_of(client, videos[0]))
    stranger = verified(client, copy, OTHER)["record"]
    assert stranger["encoder_identity"]
    assert (stranger["video"], stranger["owner"]) == (None, None)
    assert client.delete(f"/v1/videos/{videos[0]}", headers=ACME).status_code == 200
    gone = verified(client, copy)["record"]
    assert (gone["video"], gone["deleted"]) == (videos[0], True)
    plain = encode_mp4(np.full((4, 256, 256, 3), 90, np.uint8), 8)
    assert not verified(client, plain)["watermark"]["is_ours"]
    # Signed files are told by their signature: nothing is searched.
    assert verified(client, mp4_of(client, videos[1]))["watermark"] is None


def test_it_is_off_unless_the_settings_say_so(make_client: MakeClient, tmp_path: Any) -> None:
    client = server(make_client, tmp_path)
    video = made(client, seed=5)["id"]
    unmarked = mp4_of(client, video)
    assert not verified(client, copied(unmarked))["watermark"]["is_ours"]
    marked = mp4_of(on := server(make_client, tmp_path, watermark="on"), made(on, seed=5)["id"])
    difference = decode_mp4(marked).astype(float) - decode_mp4(unmarked)
    assert 0 < np.sqrt((difference**2).mean()) < 4, "there, and hardly seen"


def test_a_clip_that_cannot_hold_it_fails_if_it_is_required(
    make_client: MakeClient, tmp_path: Any
) -> None:
    client = server(make_client, tmp_path, watermark="required")
    assert made(client)["status"] == "completed"
    assert verified(client, copied(mp4_of(client, made(client)["id"])))["watermark"]["is_ours"]
    watermark = Watermark.of(client.runtime.jobs.context)
    assert watermark is not None
    with pytest.raises(WatermarkFailed, match="16x16"):
        watermark.put(np.full((4, 16, 16, 3), 90, np.uint8), "video_1")
