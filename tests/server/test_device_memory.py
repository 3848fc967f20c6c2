"""A device that has no memory for a while fails no job; one that never has fails it, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from server.jobs import device_wait
from tests.server.conftest import MakeClient
from tests.server.help import Client, wait_for

VIDEO = {"prompt": "pogo", "steps": 3, "frames": 2}


def test_jobs_wait_for_memory_that_something_else_holds(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    until = time.monotonic() + 3
    _no_room(client, monkeypatch, lambda: time.monotonic() < until)
    made = [client.post("/v1/videos", json={**VIDEO, "seed": seed}).json() for seed in (1, 2)]
    ended = [wait_for(client, f"/v1/videos/{video['id']}") for video in made]
    assert [video["status"] for video in ended] == ["completed", "completed"]
    assert time.monotonic() > until


def test_a_job_that_never_fits_fails_in_words(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    monkeypatch.setattr(device_wait, "PAUSES_S", (0.1, 0.1))
    _no_room(client, monkeypatch, lambda: True)
    made = client.post("/v1/videos", json=VIDEO).json()
    ended = wait_for(client, f"/v1/videos/{made['id']}")
    assert ended["error"]["code"] == "out_of_memory"
    assert "memory" in ended["error"]["message"]


def _no_room(client: Client, monkeypatch: pytest.MonkeyPatch, is_full: Callable[[], bool]) -> None:
    """Make the denoiser fail as torch does on a full device, while `is_full()`."""
    backbone = client.runtime.loaded.backbone
    step = backbone.step

    def maybe_full(states: Sequence[Any]) -> None:
        if is_full():
            raise torch.OutOfMemoryError("no room")
        step(states)

    monkeypatch.setattr(backbone, "step", maybe_full)
