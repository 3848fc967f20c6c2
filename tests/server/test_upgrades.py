"""Servers that start on the data directories of earlier versions: nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.earlier_data import ENCODER, SCHEMAS, VIDEO, restore, rows
from encoders.store import EncoderStore
from tests.server.help import Client, download, settings_for, wait_for, wait_ready
from tests.server.ledger_help import entries_of, exported

SOME = {SCHEMAS[3]}
"""Schema of `make test`: the first one with a published encoder. `test_migrations` upgrades all."""


@pytest.mark.parametrize(
    "schema",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in SCHEMAS],
)
def test_a_server_starts_on_an_earlier_versions_data(
    schema: str, quick_backbone_dir: Path, tmp_path: Path
) -> None:
    data = restore(schema, tmp_path)
    videos, jobs = rows(data, "videos"), rows(data, "encoder_jobs")
    had_alias = (data / "encoders" / "aliases" / "policy").is_file()
    published = {path.parent.name for path in data.glob("encoders/encoders/*/card.json")}
    readable = {card.id for card in EncoderStore(data / "encoders").cards()}
    with Client(settings_for(quick_backbone_dir, data, min_base_rate=0.0)) as client:
        wait_ready(client)
        listed = {video["id"] for video in client.get("/v1/videos").json()["data"]}
        assert listed == set(videos)
        listed = {encoder["id"] for encoder in client.get("/v1/encoders").json()["data"]}
        assert listed == set(jobs) | readable
        for name, job in jobs.items():
            shown = client.get(f"/v1/encoders/{name}").json()
            assert shown["concepts"][0]["name"] in ("pogo", "blip")
            assert job["status"] in ("queued", "in_progress") or shown["status"] == job["status"]
        for name, video in videos.items():
            if video["status"] == "completed":
                assert client.get(f"/v1/videos/{name}").json()["status"] == "completed"
                assert download(client, name, "thumbnail")
        _repeat(client, videos, jobs)
        [pending] = [name for name, video in videos.items() if video["status"] == "queued"]
        ended = wait_for(client, f"/v1/videos/{pending}")
        assert ended["status"] == "completed", ended
        assert len(download(client, pending)) > 1000
        # What an earlier version completed is not entered; the chain begins with the first clip.
        assert [entry.video_id for entry in entries_of(exported(client, key=None))] == [pending]
        if "no-blip" in jobs:
            ended = wait_for(client, "/v1/encoders/no-blip")
            assert ended["status"] in ("published", "failed")
            assert ended["status"] == "published" or ended["error"]["code"] != "internal_error"
        if had_alias:
            assert published
            assert client.get("/v1/aliases/policy").json()["encoder"] in published
            assert not (data / "encoders" / "aliases" / "policy").exists()


def _repeat(client: Client, videos: dict[str, Any], jobs: dict[str, Any]) -> None:
    """Repeat the requests that were made with an idempotency key: each gives its own job."""
    keyed = {row["idempotency_key"]: name for name, row in videos.items() if row["idempotency_key"]}
    assert set(keyed) == {"key-of-the-completed", "key-of-the-pending"}
    for key, name in keyed.items():
        answer = client.post("/v1/videos", json=VIDEO, headers={"Idempotency-Key": key})
        assert answer.json()["id"] == name, answer.text
    if "no-blip" in jobs:
        again = client.post(
            "/v1/encoders", json=ENCODER, headers={"Idempotency-Key": "key-of-the-pending"}
        )
        assert again.json()["id"] == "no-blip", again.text
