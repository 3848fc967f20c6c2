"""`palimpsest generate`."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path

import pytest

from tests.cli.help import Command, RunningServer, palimpsest, wait_until
from tests.server.help import device_held, publish
from video.clip import decode_mp4, read_provenance


@pytest.fixture(scope="module")
def noisy(served: RunningServer) -> str:
    """Publish an encoder, and return its id."""
    return publish(served.runtime, "noisy").id


def test_the_mp4_was_made_as_the_options_say(served: RunningServer, noisy: str) -> None:
    how = ["--encoder", noisy, "--seed", 7, "--steps", 3, "--frames", 5, "--fps", 4]
    more = ["--guidance", 2.5, "--negative-prompt", "a teapot", "--size", "128x128"]
    done = palimpsest("generate", "a meadow", "-o", "it.mp4", *how, *more, server=served.url)
    assert (done.status, done.err) == (0, "")
    assert done.out == "it.mp4: 1.25 s of 128x128, 5 frames; encoder noisy, seed 7\n"
    mp4 = Path("it.mp4").read_bytes()
    assert decode_mp4(mp4).shape == (5, 128, 128, 3)
    said = read_provenance(mp4)
    digest = served.runtime.loaded.store.card(noisy).digest
    assert (said["encoder_identity"], said["seed"], said["steps"]) == (digest, 7, 3)
    assert (said["guidance"], said["fps"]) == (2.5, 4)


def test_json_is_all_that_stdout_has_and_a_file_is_named_after_the_prompt(
    served: RunningServer,
) -> None:
    runs = [palimpsest("generate", "A meadow, [red]!", "--json", server=served.url) for _ in "ab"]
    assert [run.json["file"] for run in runs] == ["a-meadow-red.mp4", "a-meadow-red-2.mp4"]
    for run in runs:
        assert (run.status, run.err, run.json["status"]) == (0, "", "completed")
        assert run.json["provenance"] == read_provenance(Path(run.json["file"]).read_bytes())
        assert run.json["provenance"]["encoder_identity"] is None


@pytest.mark.parametrize(
    ("output", "says"), [("there.mp4", "exists already"), ("none/it.mp4", "no folder none")]
)
def test_a_file_that_cannot_be_made_is_refused_before_anything_is_asked(
    served: RunningServer, output: str, says: str
) -> None:
    Path("there.mp4").write_text("mine")
    before = len(served.get("/v1/videos?limit=100")["data"])
    palimpsest("generate", "a meadow", "-o", output, server=served.url).assert_failed(says)
    assert len(served.get("/v1/videos?limit=100")["data"]) == before
    assert Path("there.mp4").read_text() == "mine"


def newest(served: RunningServer, prompt: str) -> str | None:
    """Return the id of the newest video, if it is of that prompt."""
    video = served.get("/v1/videos?limit=1")["data"]
    return video[0]["id"] if video and video[0]["prompt"] == prompt else None


def test_a_video_that_fails_is_exit_1_with_its_reason(served: RunningServer) -> None:
    publish(served.runtime, "leaving", seed=2)
    words = ("generate", "a cactus", "--encoder", "leaving", "--json", "--server", served.url)
    with device_held(served.runtime):
        command = Command(*words)
        wait_until(lambda: newest(served, "a cactus"))
        served.client.delete("/v1/encoders/leaving").raise_for_status()
    done = command.done()
    done.assert_failed("The video failed", "'leaving'")
    assert done.json["status"] == "failed"
    assert not list(Path().glob("*.mp4"))


def test_ctrl_c_cancels_it_on_the_server(served: RunningServer) -> None:
    with device_held(served.runtime):
        command = Command("generate", "a balloon", "--server", served.url)
        video = wait_until(lambda: newest(served, "a balloon"))
        command.process.send_signal(signal.SIGINT)
        done = command.done()
        assert (done.status, done.out) == (130, "")
        assert done.err == f"Cancelled: {video} is deleted on the server.\n"
        assert served.client.get(f"/v1/videos/{video}").status_code == 404
    assert not list(Path().iterdir())


def test_progress_goes_to_a_terminal_and_never_into_the_result(served: RunningServer) -> None:
    ours, theirs = pty.openpty()
    command = Command("generate", "a teapot", "--json", "--server", served.url, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert command.done().json["file"] == "a-teapot.mp4"
    assert "“a teapot”" in shown.decode()
    assert b"100%" in shown


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--frames", 1000, "frames"),
        ("--size", "big", "is not a size"),
        ("--encoder", "nobody", "There is no encoder 'nobody'. `palimpsest encoders list`"),
    ],
)
def test_what_the_server_refuses_is_one_line(
    served: RunningServer, option: str, value: object, says: str
) -> None:
    palimpsest("generate", "a meadow", option, value, server=served.url).assert_failed(says)
    assert not list(Path().iterdir())


def test_errors_are_red_on_a_terminal() -> None:
    Path("there.mp4").touch()
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm", "NO_COLOR": ""}
    command = Command("generate", "x", "-o", "there.mp4", stderr=theirs, **env)
    os.close(theirs)
    assert command.done().status == 1
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert shown.startswith("\x1b[31mthere.mp4 exists already")
    assert json.dumps(shown).count("\\n") == 1
