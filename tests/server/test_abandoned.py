"""Videos that were waited for, and whose caller is gone: removed without holding up anybody."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from server.jobs.abandoned import AbandonedVideos
from server.jobs.storage_wait import StorageWait
from server.storage import writers_turn
from server.storage.records import VideoRecord
from tests.server.help import Client, device_held, settings_for, wait_ready
from tests.server.test_dispatcher import row, until
from tests.server.test_outages import locked

BUSY_TIMEOUT_S = 1.0
BODY = {"prompt": "pogo in a meadow", "steps": 100, "frames": 4, "seed": 1}


class WaitingCall:
    """A call of a route that waits, `/v1/videos/sync`, whose connection the test can close."""

    def __init__(
        self,
        client: Client,
        path: str = "/v1/videos/sync",
        body: Any = BODY,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._gone = threading.Event()
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": json.dumps(body).encode()}
        ]
        self._sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"content-type", b"application/json"),
                *((k.lower().encode(), v.encode()) for k, v in (headers or {}).items()),
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 3000),
        }
        assert client.portal is not None
        self._answered = client.portal.start_task_soon(client.app, scope, self._receive, self._send)

    def close(self) -> None:
        assert not self._answered.done()
        self._gone.set()

    def status(self) -> int:
        self._answered.result(30)
        return self._sent[0]["status"]

    async def _receive(self) -> Any:
        if self._messages:
            return self._messages.pop()
        while not self._gone.is_set():
            await asyncio.sleep(0.02)
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self._sent.append(message)


@pytest.fixture(scope="module")
def client(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Yield a server whose writers wait a short time for the database's lock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers_turn, "BUSY_TIMEOUT_S", BUSY_TIMEOUT_S)
        data = tmp_path_factory.mktemp("data")
        with Client(settings_for(quick_backbone_dir, data)) as client:
            wait_ready(client)
            yield client


def videos(client: Client) -> int:
    return len(client.get("/v1/videos?limit=100").json()["data"])


def test_a_closed_connection_cancels_the_video(client: Client) -> None:
    with device_held(client.runtime):
        call = WaitingCall(client)
        until(lambda: videos(client) == 1, "the video was not accepted")
        call.close()
        assert call.status() == 499
        until(lambda: videos(client) == 0, "the video is still there")
    until(lambda: client.runtime.loaded.engine.stats().in_flight == 0, "it is still being made")


@pytest.fixture
def no_collection() -> Generator[None]:
    """Pause garbage collection: in a process of two thousand tests a full one takes a second."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_videos_abandoned_in_an_outage_hold_up_nobody_and_are_removed_after_it(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with device_held(client.runtime):
        calls = [WaitingCall(client) for _ in range(4)]
        until(lambda: videos(client) == len(calls), "the videos were not accepted")
        with locked(client.runtime.settings.data_dir):
            for call in calls:
                call.close()
            slowest, end = 0.0, time.monotonic() + 2 * BUSY_TIMEOUT_S
            while time.monotonic() < end:
                began = time.monotonic()
                assert client.get("/health").status_code == 200
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.02)
            assert slowest < BUSY_TIMEOUT_S / 2, "the event loop waited for the database"
            assert [call.status() for call in calls] == [499] * len(calls)
            assert "waiting for storage: removing video_" in caplog.text
            assert videos(client) == len(calls)
        until(lambda: videos(client) == 0, "abandoned videos stay")


def test_a_stop_removes_what_it_can_and_does_not_wait_for_an_outage_to_end(tmp_path: Path) -> None:
    stopping, removed, tried = threading.Event(), list[str](), threading.Event()

    def remove(record: VideoRecord) -> None:
        if record.id == "locked":
            tried.set()
            raise writers_turn.DatabaseBusy
        removed.append(record.id)

    for names in (["a", "b"], ["c", "locked", "d"]):
        abandoned = AbandonedVideos(StorageWait(stopping, tmp_path), remove)
        abandoned.start()
        for name in names:
            abandoned.add(row(name))
        if "locked" in names:
            assert tried.wait(30)
        stopping.set()
        began = time.monotonic()
        abandoned.stop(20)
        assert time.monotonic() - began < 10
        stopping.clear()
    assert removed == ["a", "b", "c"]
