"""`palimpsest unlearn`. The tiny model shows nothing, so each test opens or closes the gate."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.help import Command, RunningServer, palimpsest, wait_until
from tests.server.help import device_held

QUICK = ("--setting", "steps=2")
CLOSED = ("--min-base-rate", "1", "--max-probes", "2")


def test_an_encoder_is_made_as_the_options_say_and_its_measures_are_shown(
    served: RunningServer,
) -> None:
    gate = ["--min-base-rate", 0, "--min-forget-rate", 0, "--max-retain-drop", 1, "--max-probes", 3]
    names = ["--id", "no-pogo", "--synonym", "violet robot", "--synonym", "the robot"]
    how = ["--setting", "steps=3", "--setting", "anchor=a creature"]
    words = ["unlearn", "pogo", "--kind", "character", *names, *how, *gate]
    done = palimpsest(*words, server=served.url)
    assert (done.status, done.err) == (0, "")
    first, *rows = done.out.splitlines()
    assert first == "no-pogo is published. It forgets pogo (character)."
    made = served.get("/v1/encoders/no-pogo")
    assert made["concepts"][0]["synonyms"] == ["violet robot", "the robot"]
    assert (made["settings"]["steps"], made["settings"]["anchor"]) == (3, "a creature")
    rates = {"min_base_rate": 0, "min_forget_rate": 0, "max_retain_drop": 1}
    assert made["gate"] == {**made["gate"], **rates, "max_probes": 3, "tier": "custom"}
    of = made["measures"]["concepts"]["pogo"]
    gone = next(row for row in rows if row.startswith("pogo: gone")).split()
    # Of no clips at all there is no rate.
    assert gone[2] == (f"{100 * of['forget_rate']:g}" if of["n"] else "–")
    assert gone[-4:] == [str(of["n"]), "≥", "0", "%"]


def test_one_goes_on_from_another_and_json_is_the_server_s_object(served: RunningServer) -> None:
    parent = palimpsest(
        "unlearn", "blip", "--kind", "character", *QUICK, "--json", server=served.url
    )
    name = parent.json["id"]
    assert name.startswith("no-blip-")
    words = ["unlearn", "teapot", "--kind", "object", "--parent", name, *QUICK, "--json"]
    done = palimpsest(*words, server=served.url)
    assert (done.status, done.err) == (0, "")
    assert [concept["name"] for concept in done.json["concepts"]] == ["blip", "teapot"]
    assert done.json == served.get(f"/v1/encoders/{done.json['id']}")


def test_one_that_does_not_pass_is_exit_1_with_its_reason_and_measures(
    served: RunningServer,
) -> None:
    words = ["unlearn", "mira", "--kind", "person", *QUICK, *CLOSED]
    done = palimpsest(*words, "--id", "weak", server=served.url)
    done.assert_failed("weak failed: The base shows 'mira' in only")
    assert "mira: shown by the base" in done.out
    assert "≥ 100 %" in done.out
    done = palimpsest(*words, "--id", "weaker", "--json", server=served.url)
    done.assert_failed("weaker failed")
    assert (done.json["status"], done.json["error"]["code"]) == ("failed", "gate_failed")
    assert done.json["measures"]["concepts"]["mira"]["base_rate"] < 1


def picture(folder: Path, name: str) -> Path:
    path = folder / name
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(path)
    return path


def test_pictures_go_with_the_request(served: RunningServer, tmp_path: Path) -> None:
    names = [picture(tmp_path, name) for name in ("one.png", "two.jpg")]
    images = [word for name in names for word in ("--image", name)]
    words = ["unlearn", "pogo", "--kind", "character", "--synonym", "the robot", *images]
    done = palimpsest(*words, *QUICK, "--no-ways", "--json", server=served.url)
    assert (done.status, done.err) == (0, "")
    assert done.json["concepts"][0]["synonyms"] == ["the robot"]
    assert (done.json["settings"]["images"], done.json["settings"]["steps"]) == ([2], 2)


def test_pictures_without_a_name_are_named_or_the_job_fails(
    served: RunningServer, tmp_path: Path
) -> None:
    """The tiny model draws nothing that its judge would know."""
    words = ["unlearn", "--image", picture(tmp_path, "grey.png"), *QUICK, "--json"]
    done = palimpsest(*words, server=served.url)
    done.assert_failed("does not draw")
    assert done.json["error"]["code"] == "not_drawn"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--image"),
        (("pogo",), "--kind"),
        (("--image", "nowhere.png"), "nowhere.png cannot be read: No such file"),
    ],
)
def test_what_to_forget_has_to_be_said(
    served: RunningServer, words: tuple[str, ...], says: str
) -> None:
    done = palimpsest("unlearn", *words, server=served.url)
    assert done.status in (1, 2)
    assert says in done.err


def test_ctrl_c_cancels_it_on_the_server(served: RunningServer) -> None:
    words = ("unlearn", "otto", "--kind", "person", "--id", "no-otto", "--server", served.url)
    with device_held(served.runtime):
        command = Command(*words)
        wait_until(lambda: served.client.get("/v1/encoders/no-otto").is_success)
        command.process.send_signal(signal.SIGINT)
        done = command.done()
        assert (done.status, done.out) == (130, "")
        assert done.err == "Cancelled: no-otto is deleted on the server.\n"
        assert served.client.get("/v1/encoders/no-otto").status_code == 404


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method", "hope"], "method must be one of redirect, ascent"),
        (["--setting", "stepz=3"], "There is no setting 'stepz'"),
        (["--setting", "steps=0"], "steps must be"),
        (["--setting", "retain_weight=NaN"], "cannot be written as JSON"),
        (["--parent", "nobody"], "There is no encoder 'nobody'"),
        (["--id", "base"], "'base' is the unmodified encoder's name"),
    ],
)
def test_what_the_server_refuses_is_one_line(
    served: RunningServer, options: list[str], says: str
) -> None:
    words = ["unlearn", "pogo", "--kind", "character", *options]
    palimpsest(*words, server=served.url).assert_failed(says)


@pytest.mark.parametrize(
    "options",
    [
        ["--kind", "colour"],
        ["--kind", "person", "--setting", "steps"],
        ["--kind", "person", "--method", "ascent", "--setting", "method=redirect"],
        ["--kind", "person", "--min-forget-rate", "1.1"],
    ],
)
def test_what_is_no_command_is_exit_2(options: list[str]) -> None:
    assert palimpsest("unlearn", "mira", *options).status == 2
