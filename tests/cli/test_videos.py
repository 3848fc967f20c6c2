"""`palimpsest videos`."""

from __future__ import annotations

import os
import pty
import signal
from pathlib import Path

import pytest

from tests.cli.help import Command, RunningServer, palimpsest
from tests.server.help import device_held, free_port
from video.clip import decode_mp4

QUICK = {"prompt": "a meadow, [red]", "steps": 2, "frames": 3}


@pytest.fixture(scope="module")
def video(served: RunningServer) -> str:
    """Make a video, and return its id."""
    asked = served.client.post("/v1/videos", json=QUICK).raise_for_status().json()
    done = palimpsest("videos", "follow", asked["id"], "--json", server=served.url)
    assert done.json["status"] == "completed"
    return asked["id"]


def test_a_video_is_listed_and_shown(served: RunningServer, video: str) -> None:
    rows = palimpsest("videos", "list", server=served.url).out.splitlines()
    [row] = [row for row in rows if video in row]
    assert "completed" in row
    assert "a meadow, [red]" in row
    shown = palimpsest("videos", "show", video, server=served.url)
    assert (shown.status, shown.err) == (0, "")
    for text in (video, "completed", "a meadow, [red]", "removed"):
        assert text in shown.out
    api = served.get(f"/v1/videos/{video}")
    assert palimpsest("videos", "show", video, "--json", server=served.url).json == api
    assert api in palimpsest("videos", "list", "--json", server=served.url).json
    one = palimpsest("videos", "list", "--limit", 1, "--json", server=served.url).json
    assert len(one) == 1


def test_a_video_is_downloaded_under_its_own_name_and_no_file_is_lost(
    served: RunningServer, video: str
) -> None:
    done = palimpsest("videos", "get", video, server=served.url)
    assert (done.status, done.err) == (0, "")
    content = Path(f"{video}.mp4").read_bytes()
    assert len(decode_mp4(content)) == 3
    assert f"{len(content)} bytes" in done.out
    said = palimpsest("videos", "get", video, "--variant", "thumbnail", "--json", server=served.url)
    assert said.json["file"] == f"{video}.webp"
    assert Path(f"{video}.webp").read_bytes()[8:12] == b"WEBP"
    again = palimpsest("videos", "get", video, "-o", f"{video}.mp4", server=served.url)
    again.assert_failed("exists already")
    assert Path(f"{video}.mp4").read_bytes() == content


@pytest.mark.parametrize("odd", ["..", ".", "", "a/b?x=1", "../encoders"])
@pytest.mark.parametrize("command", ["show", "get"])
def test_what_cannot_be_an_id_is_refused(served: RunningServer, command: str, odd: str) -> None:
    refused = palimpsest("videos", command, odd, server=served.url)
    refused.assert_failed("cannot be an id")


def test_following_ends_with_the_video_and_stopping_to_follow_does_not_end_it(
    served: RunningServer,
) -> None:
    with device_held(served.runtime):
        asked = served.client.post("/v1/videos", json=QUICK).json()["id"]
        terminal, side = pty.openpty()
        follower = Command(
            "videos", "follow", asked, stderr=side, PALIMPSEST_SERVER=served.url, TERM="xterm"
        )
        os.close(side)
        drawn = b""
        while asked.encode() not in drawn:  # the progress bar: it follows
            drawn += os.read(terminal, 1000)
        os.kill(follower.process.pid, signal.SIGINT)
        assert follower.done().status == 130
        os.close(terminal)
        assert served.get(f"/v1/videos/{asked}")["status"] in ("queued", "in_progress")
    done = palimpsest("videos", "follow", asked, server=served.url)
    assert (done.status, done.err) == (0, "")
    assert "completed" in done.out


def test_a_video_is_deleted_after_a_yes(served: RunningServer) -> None:
    asked = served.client.post("/v1/videos", json=QUICK).json()["id"]
    palimpsest("videos", "delete", asked, server=served.url).assert_failed("say --yes")
    gone = palimpsest("videos", "delete", asked, "--yes", server=served.url)
    assert (gone.status, gone.out) == (0, f"{asked} is deleted.\n")
    for words in (("show",), ("follow",), ("get",), ("delete", "--yes")):
        missing = palimpsest("videos", words[0], asked, *words[1:], server=served.url)
        missing.assert_failed("There is no video", asked)


def test_an_admin_lists_deleted_videos(served: RunningServer) -> None:
    asked = served.client.post("/v1/videos", json=QUICK).json()
    served.client.delete(f"/v1/videos/{asked['id']}").raise_for_status()
    listed = palimpsest("videos", "deleted", server=served.url)
    assert (listed.status, listed.err) == (0, "")
    [row] = [row for row in listed.out.splitlines() if asked["id"] in row]
    assert "local" in row
    assert asked["model"] in row
    assert "a meadow" not in listed.out
    record = served.get(f"/v1/deleted-videos/{asked['id']}")
    assert record in palimpsest("videos", "deleted", "--json", server=served.url).json
    one = palimpsest("videos", "deleted", asked["id"], "--json", server=served.url)
    assert one.json == record
    none = palimpsest("videos", "deleted", "--owner", "nobody", server=served.url)
    assert none.out == "There are no records of deleted videos.\n"
    palimpsest("videos", "deleted", "video_x", server=served.url).assert_failed("video_x")


def test_an_id_is_no_path_and_a_server_is_needed(served: RunningServer) -> None:
    odd = palimpsest("videos", "show", "../encoders", server=served.url)
    assert odd.status == 1
    assert "Traceback" not in odd.err
    nowhere = f"http://127.0.0.1:{free_port()}"
    palimpsest("videos", "list", server=nowhere).assert_failed(nowhere)
