"""A stop on request: reads go on, waits end, the process ends in time; clients outlive a crash."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import psutil
import pytest

from server.settings import STARTER_WEIGHTS
from tests.server.help import SERVER_TIMEOUT_S, Server, assert_error, running
from tests.server.test_following import follow

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API")

LONG = {"prompt": "pogo in a meadow", "steps": 100, "seed": 1}
"""With the built-in model, whose steps take a tenth of a second and more, unlike the tiny one's."""
ENCODER = {
    "id": "no-pogo",
    "concept": "pogo",
    "kind": "character",
    "settings": {"steps": 1000},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    home = tmp_path_factory.mktemp("stopped")
    with running(STARTER_WEIGHTS, home, drain_seconds=1) as server:
        yield server


def test_an_official_client_s_poll_outlives_a_killed_worker(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
    with ThreadPoolExecutor() as pool:
        made = pool.submit(
            client.videos.create_and_poll,  # pyright: ignore[reportDeprecated]
            prompt="pogo",
            extra_body={"steps": 12},
        )
        until_begun(server)
        for _ in range(2):
            [worker] = server.workers()
            worker.kill()
            psutil.wait_procs([worker], timeout=SERVER_TIMEOUT_S)
            # A look at a job waits for the next worker's database, and for no model.
            answer = httpx.get(f"{server.url}/v1/videos", timeout=SERVER_TIMEOUT_S)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["data"]) == 1
            for path in ("livez", "healthz"):
                assert httpx.get(f"{server.url}/{path}").status_code == 200
            assert not made.done(), made.result()
        video = made.result(SERVER_TIMEOUT_S)
    assert video.status == "completed"
    delete(server, f"/v1/videos/{video.id}")


def test_a_stop_answers_reads_ends_waits_and_is_no_failure(server: Server) -> None:
    video = server.client.post("/v1/videos", json=LONG).json()["id"]
    encoder = server.client.post("/v1/encoders", json=ENCODER)
    assert encoder.status_code == 200, encoder.text
    until_begun(server)
    log_before = server.log.stat().st_size
    with ThreadPoolExecutor() as pool:
        heard = [threading.Event(), threading.Event()]
        followers = [
            pool.submit(follow_over_http, server, path, event)
            for path, event in zip(
                (f"/v1/videos/{video}/events", "/v1/encoders/no-pogo/events"), heard, strict=True
            )
        ]
        waiting = pool.submit(httpx.post, f"{server.url}/v1/videos/sync", json=LONG, timeout=60)
        until_listed(server, 2)
        assert all(event.wait(SERVER_TIMEOUT_S) for event in heard)
        processes = [parent := server.parent, *server.workers()]
        told = time.monotonic()
        parent.terminate()
        assert_drains(server, video)
        for one in followers:
            events = one.result(30)
            assert events[-1] == ("stopping", {"code": "stopping"})
            assert events[0][0] in ("queued", "in_progress")
        answer = waiting.result(30)
        assert psutil.wait_procs(processes, timeout=SERVER_TIMEOUT_S)[1] == []
        assert time.monotonic() - told < 10
    assert parent.wait() == 0
    assert_error(answer, 503, code="stopping", says="stays accepted")
    assert int(answer.headers["retry-after"]) > 0
    written = server.log.read_text()[log_before:]
    for wrong in ("Traceback", "uncaught", "Exception", "ERROR", "waiting for"):
        assert wrong not in written
    server.start()
    waited = answer.headers["x-video-id"]
    assert waited in answer.json()["error"]["message"]
    listed = {one["id"]: one for one in server.client.get("/v1/videos").json()["data"]}
    assert set(listed) == {video, waited}
    for one in listed:
        delete(server, f"/v1/videos/{one}")
    delete(server, "/v1/encoders/no-pogo")


def test_a_group_s_interrupt_stops_and_a_second_signal_ends_at_once(server: Server) -> None:
    held = server.client.post("/v1/videos", json=LONG).json()["id"]
    until_begun(server)
    processes = [parent := server.parent, *server.workers()]
    for process in processes:  # what a terminal, or systemd, does: all get it at once
        process.send_signal(signal.SIGINT)
    assert psutil.wait_procs(processes, timeout=SERVER_TIMEOUT_S)[1] == []
    assert parent.wait() == 0
    server.start(PALIMPSEST_DRAIN_SECONDS="300")
    processes = [server.parent, *server.workers()]
    server.parent.terminate()
    until(lambda: server.client.get("/readyz").status_code == 503)
    time.sleep(1.1)  # an earlier one would be the same signal, sent twice
    assert server.client.get(f"/v1/videos/{held}").status_code == 200
    server.parent.terminate()
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    server.start()
    delete(server, f"/v1/videos/{held}")


def until(condition: Any, seconds: float = SERVER_TIMEOUT_S) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def delete(server: Server, path: str) -> None:
    """Delete a job; on a new connection, since a worker may just have been replaced."""
    assert httpx.delete(server.url + path, timeout=SERVER_TIMEOUT_S).status_code == 200


def until_begun(server: Server) -> None:
    """Wait until a video is being made."""
    videos = "/v1/videos"
    until(lambda: any(v["progress"] for v in server.client.get(videos).json()["data"]))


def until_listed(server: Server, count: int) -> None:
    """Wait until so many videos are accepted."""
    until(lambda: len(server.client.get("/v1/videos").json()["data"]) == count)


def follow_over_http(server: Server, path: str, heard: threading.Event) -> list[tuple[str, Any]]:
    """Return names and data of all events until the server ends the stream."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        return follow(client, path, heard=heard)


def assert_drains(server: Server, video: str) -> None:
    """Assert what a server answers that was told to stop just now."""
    until(lambda: server.client.get("/readyz").status_code == 503)
    for alive in ("/livez", "/healthz"):
        assert server.client.get(alive).status_code == 200
    assert_error(server.client.get("/health"), 503, code="stopping")
    for path in (f"/v1/videos/{video}", "/v1/videos", "/v1/encoders", "/v1/encoders/no-pogo"):
        assert server.client.get(path).status_code == 200
    for path in ("/v1/videos", "/v1/encoders", "/v1/videos/sync", "/generate"):
        refused = server.client.post(path, json=LONG)
        assert_error(refused, 503, code="stopping")
        assert int(refused.headers["retry-after"]) > 0
