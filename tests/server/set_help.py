"""Helpers of the tests of sets: members, composites, and videos that are made with them."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from server.storage.records import VideoRecord
from tests.server.help import Client, bearer, publish, wait_for

OPEN, CLOSED = 1e-9, 1e9
"""Thresholds of encoders that are open for every prompt, and for none."""
BODY = {"prompt": "a red fox", "frames": 2, "steps": 2, "seed": 3}
GATE = {"min_base_rate": 0}
"""The tiny model draws no concept."""
NAMES = ("pogo", "blip", "pogo")
"""Concepts that the tiny judge knows; the third member forgets what the first does."""


def publish_members(client: Client, prefix: str, *thresholds: float) -> list[str]:
    """Publish an encoder for each threshold, and return their ids: prefix-0, prefix-1 and so on."""
    for i, threshold in enumerate(thresholds):
        publish(
            client.runtime,
            f"{prefix}-{i}",
            seed=10 + i,
            concept=NAMES[i],
            threshold=threshold,
        )
    return [f"{prefix}-{i}" for i in range(len(thresholds))]


def make_set(
    client: Client, name: str, members: list[str], *, key: str | None = None
) -> dict[str, Any]:
    """Make a composite, and return it as the server shows it."""
    body = {"id": name, "compose": members, "gate": GATE}
    asked = client.post("/v1/encoders", json=body, headers=bearer(key))
    assert asked.status_code == 200, asked.text
    made = wait_for(client, f"/v1/encoders/{name}", key=key)
    assert made["status"] == "published", made
    return made


def video(client: Client, *, key: str | None = None, **fields: Any) -> VideoRecord:
    """Have a video made, and return its record."""
    made = client.post("/v1/videos", json={**BODY, **fields}, headers=bearer(key))
    assert made.status_code == 200, made.text
    ended = wait_for(client, f"/v1/videos/{made.json()['id']}", key=key)
    assert ended["status"] == "completed", ended
    record = client.runtime.records.get(VideoRecord, VideoRecord.id == ended["id"])
    assert record is not None
    return record


def pixels(image: bytes) -> bytes:
    """Return a picture's pixels. Its file has another signature each time it is made."""
    with Image.open(io.BytesIO(image)) as opened:
        return opened.convert("RGB").tobytes()


def frames(client: Client, record: VideoRecord) -> bytes:
    """Return the pixels of all frames of a video."""
    sheet = client.get(f"/v1/videos/{record.id}/content", params={"variant": "spritesheet"})
    return pixels(sheet.content)
