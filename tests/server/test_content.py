"""A finished video's files: kept by clients, and whole even while the video is deleted."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from encoders.atomic_files import remove_tree
from server.storage.record_store import RecordStore
from server.storage.records import VideoRecord
from server.storage.video_files import FILE_NAMES, Variant
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, device_held, wait_for
from tests.server.stored_help import stored
from video import clip

BODY = {"prompt": "a meadow", "steps": 1, "frames": 1}


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    return make_client()


def made(client: Client) -> str:
    video_id: str = client.post("/v1/videos", json=BODY).json()["id"]
    assert wait_for(client, f"/v1/videos/{video_id}")["status"] == "completed"
    return f"/v1/videos/{video_id}/content"


@pytest.fixture(scope="module")
def content(client: Client) -> str:
    """Return the path of a clip."""
    return made(client)


@pytest.mark.parametrize("variant", ["video", "thumbnail", "spritesheet"])
def test_a_client_that_has_a_file_is_not_sent_it_again(
    client: Client, content: str, variant: str
) -> None:
    url = f"{content}?variant={variant}"
    first = client.get(url)
    tag, date = first.headers["etag"], first.headers["last-modified"]
    # A browser asks each time: another key may not have it, nor anybody once it is deleted.
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Authorization"
    later = formatdate(parsedate_to_datetime(date).timestamp() + 60, usegmt=True)
    for known in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"x", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": date},
        {"If-Modified-Since": later},
    ):
        for method in ("GET", "HEAD"):
            answer = client.request(method, url, headers=known)
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == tag
            assert answer.headers["cache-control"] == "private, no-cache"
            assert answer.headers["vary"] == "Authorization"
    earlier = formatdate(parsedate_to_datetime(date).timestamp() - 60, usegmt=True)
    for unknown in (
        {"If-None-Match": '"x"'},
        {"If-None-Match": '"x"', "If-Modified-Since": later},  # the tag decides
        {"If-Modified-Since": earlier},
        {"If-Modified-Since": "yesterday"},
        {"If-Modified-Since": "Mon, 32 Jan 99999 99:99:99 GMT"},
    ):
        assert client.get(url, headers=unknown).content == first.content, unknown
    other = {"video": "thumbnail"}.get(variant, "video")
    assert client.get(f"{content}?variant={other}").headers["etag"] != tag


def test_a_browser_shows_a_clip_or_saves_it(client: Client, content: str) -> None:
    name = f'filename="{content.split("/")[3]}.mp4"'
    assert client.get(content).headers["content-disposition"] == f"inline; {name}"
    saved = client.get(f"{content}?download=1").headers["content-disposition"]
    assert saved == f"attachment; {name}"
    assert_error(client.get(f"{content}?download=perhaps"), 400)


def test_ranges_are_served_and_nonsense_is_no_fault_of_the_server(
    client: Client, content: str
) -> None:
    whole = client.get(content)
    size = len(whole.content)

    def ask(what: str, **headers: str) -> Any:
        return client.get(content, headers={"Range": what, **headers})

    assert (ask("bytes=0-9").status_code, ask("bytes=0-9").content) == (206, whole.content[:10])
    assert ask("bytes=-10").content == whole.content[-10:]
    assert ask("bytes=10-").content == whole.content[10:]
    assert ask("bytes=0-9", **{"If-Range": whole.headers["etag"]}).status_code == 206
    assert ask("bytes=0-9", **{"If-Range": '"other"'}).status_code == 200
    two = ask("bytes=0-1,5-6")
    assert two.status_code == 206
    assert two.headers["content-type"].startswith("multipart/byteranges")
    assert ask(f"bytes=0-1,{size}-").content == whole.content[:2]  # one of them is there
    assert ask(f"bytes=-{size + 9}").headers["content-range"] == f"bytes 0-{size - 1}/{size}"
    for outside in (
        f"bytes={size}-",
        f"bytes={size}-{size}",
        "bytes=-0",
        "bytes=" + "9" * 5000 + "-",
    ):
        refused = ask(outside)
        assert_error(refused, 416, code="range_not_satisfiable", says=f"{size} bytes")
        assert outside[:80] in refused.json()["error"]["message"]
        assert refused.headers["content-range"] == f"bytes */{size}"
        assert ask(outside, **{"If-Range": '"other"'}).status_code == 200
    ignored = [
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-1",
        "x=0-1",
        "items=0-1",
        "bytes=a-b",
        "bytes=0-1,a-b",
        "bytes=1_0-2_0",
        "bytes=--1",
        "bytes=²-³",
        "=",
        ",",
        "bytes=" + "0-0," * 500,
    ]
    for what in ignored:
        answer = client.get(content, headers={b"Range": what.encode("latin-1")})
        assert (answer.status_code, answer.content) == (200, whole.content), what


def test_a_clip_that_is_deleted_meanwhile_is_whole_or_absent(client: Client) -> None:
    seen: Counter[int] = Counter()
    for _ in range(6):
        url = made(client)
        start = threading.Barrier(8)

        def get(url: str = url, start: threading.Barrier = start) -> Any:
            start.wait()
            return client.get(url)

        def delete(url: str = url, start: threading.Barrier = start) -> Any:
            start.wait()
            return client.delete(url.removesuffix("/content"))

        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(work) for work in [get] * 6 + [delete] * 2]
        for got in answers[:6]:
            answer = got.result()
            seen[answer.status_code] += 1
            if answer.status_code == 200:
                assert clip.decode_mp4(answer.content).shape[0] == 1
            else:
                assert_error(answer, 404)
        assert {answer.result().status_code for answer in answers[6:]} <= {200, 404}
        assert_error(client.get(url), 404)
    assert seen.total() == 36


def test_a_file_that_goes_between_the_row_and_the_answer_is_absent(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = made(client)
    get = RecordStore.get

    def get_and_expire(store: RecordStore, *arguments: Any) -> Any:
        found = get(store, *arguments)
        if isinstance(found, VideoRecord):
            client.runtime.files.delete(found.id)
        return found

    monkeypatch.setattr(RecordStore, "get", get_and_expire)
    assert_error(client.get(url), 404, code="content_gone")


@pytest.mark.parametrize("variant", ["video", "thumbnail", "spritesheet"])
def test_a_file_that_cannot_be_read_just_now_is_not_gone(
    client: Client, content: str, variant: Variant
) -> None:
    url = f"{content}?variant={variant}"
    before = client.get(url).content
    path = stored(client.runtime, content.split("/")[3], variant)
    aside = path.rename(path.with_suffix(".aside"))
    assert_error(client.get(url), 404, code="content_gone")
    videos = path.parent.parent
    away = videos.rename(videos.with_suffix(".away"))
    refused = client.get(url)
    away.rename(videos)
    assert_error(refused, 503, code="storage_unavailable")
    assert refused.headers["Retry-After"] == "5"
    aside.rename(path)
    assert client.get(url).content == before


@pytest.mark.parametrize("variant", ["video", "thumbnail", "spritesheet"])
def test_nothing_else_in_a_files_place_is_sent_or_waited_for(
    client: Client, content: str, variant: Variant, tmp_path: Path
) -> None:
    url = f"{content}?variant={variant}"
    before = client.get(url)
    path = stored(client.runtime, content.split("/")[3], variant)
    aside = path.rename(path.with_suffix(".aside"))
    whole = before.content
    other = tmp_path / path.name
    other.write_bytes(whole)
    puts: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(path),
        "socket": lambda: os.mknod(path, stat.S_IFSOCK | 0o600),
        "folder": path.mkdir,
        "link to a whole file": lambda: path.symlink_to(other),
        "link to itself": lambda: path.symlink_to(path),
        "link to nothing": lambda: path.symlink_to(tmp_path / "none"),
        "link to a device": lambda: path.symlink_to("/dev/zero"),
        "empty": path.touch,
        "cut": lambda: path.write_bytes(whole[:-1]),
        "cut to its head": lambda: path.write_bytes(whole[:20]),
        "longer": lambda: path.write_bytes(whole + b"x"),
        "text": lambda: path.write_text("root:x:0:0:root:/root:/bin/bash\n"),
    }
    for what, put in puts.items():
        put()
        for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": before.headers["etag"]}):
            answer = client.get(url, headers=headers)
            assert answer.status_code == 404, (what, answer.status_code)
            assert_error(answer, 404, code="content_gone")
        remove_tree(path)
    aside.rename(path)
    folder = path.parent
    moved = folder.rename(tmp_path / "moved")
    folder.symlink_to(moved)
    assert_error(client.get(url), 404, code="content_gone")
    folder.unlink()
    folder.write_text("x")
    assert_error(client.get(url), 404, code="content_gone")
    folder.unlink()
    moved.rename(folder)
    assert client.get(url).content == whole


def test_a_link_in_a_videos_place_goes_with_the_video(client: Client, tmp_path: Path) -> None:
    url = made(client)
    folder = stored(client.runtime, url.split("/")[3]).parent
    moved = folder.rename(tmp_path / "moved")
    folder.symlink_to(moved)
    assert client.delete(url.removesuffix("/content")).status_code == 200
    assert not folder.is_symlink()
    assert sorted(path.name for path in moved.iterdir()) == sorted(FILE_NAMES.values())


def test_waiting_past_the_deadline_is_no_fault_of_the_server(client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        with device_held(client.runtime):
            body = {**BODY, "deadline_after": 1}
            waiting = pool.submit(client.post, "/v1/videos/sync", json=body)
            until = time.monotonic() + 2.1
            while not pending(client) or time.monotonic() < until:
                time.sleep(0.05)
        answer = waiting.result()
    assert_error(answer, 409, code="deadline_exceeded")
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v1/videos/sync", "/generate"])
def test_waiting_for_a_video_that_is_deleted_ends_with_404(client: Client, path: str) -> None:
    with device_held(client.runtime), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, path, json=BODY)
        while not (ids := pending(client)):
            time.sleep(0.02)
        assert client.delete(f"/v1/videos/{ids[0]}").status_code == 200
        assert_error(waiting.result(), 404, code="video_deleted", says=ids[0])


def pending(client: Client) -> list[str]:
    """Return the ids of the videos that are not finished."""
    listed = client.get("/v1/videos?limit=100").json()["data"]
    return [video["id"] for video in listed if video["status"] in ("queued", "in_progress")]
