"""Requests that wait for a video while storage is out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.storage.video_files import Variant
from tests.server.help import Client, assert_error, device_held
from tests.server.stored_help import data_folder
from tests.server.test_content import pending
from tests.server.test_dispatcher import until
from tests.server.test_following import follow
from tests.server.test_outages import database_away

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}


def test_an_outage_while_waiting_and_following_is_waited_out(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = client.runtime
    if runtime.settings.postgres is not None:
        pytest.skip("it moves SQLite's file")
    with ThreadPoolExecutor(2) as pool:
        with device_held(runtime):
            waiting = pool.submit(client.post, "/v1/videos/sync", json=QUICK)
            until(lambda: len(pending(client)) == 1, "the video was not accepted")
            [video] = pending(client)
            told = pool.submit(follow, client, f"/v1/videos/{video}/events")
            until(lambda: runtime.followers.groups == 2, "nobody follows")
            with database_away(runtime.settings.data_dir):
                runtime.records.notifier.notify(video)
                until(lambda: caplog.text.count("waits for storage") == 2, "none met the outage")
                assert not waiting.done()
                assert not told.done()
        answer = waiting.result()
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-video-id"] == video
    assert told.result()[-1][0] == "completed"


def test_a_waiting_request_that_gives_up_names_its_video_and_is_not_repeated(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = client.runtime.files
    write, made = files.write, list[str]()

    def write_and_lose(video_id: str, attempt: int, contents: Mapping[Variant, bytes]) -> None:
        write(video_id, attempt, contents)
        folder.rename(away)  # as if its disk were unmounted
        made.append(video_id)

    folder = data_folder(client.runtime, "videos")
    away = folder.with_name("videos-away")
    monkeypatch.setattr(files, "write", write_and_lose)
    try:
        answer = client.post("/v1/videos/sync", json=QUICK)
    finally:
        away.rename(folder)
    [video] = made
    assert_error(answer, 503, code="storage_unavailable", says=f"/v1/videos/{video}")
    assert answer.headers["x-video-id"] == video
    assert answer.headers["x-should-retry"] == "false"
    assert "Nothing was changed" not in answer.text
