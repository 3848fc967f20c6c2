"""`palimpsest ledger` and `palimpsest encoders recall`, on a real server."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.help import RunningServer, palimpsest
from tests.server.help import publish, wait_for


@pytest.fixture(scope="module")
def videos(served: RunningServer) -> list[dict[str, Any]]:
    """Return clips: of the base, then two of an encoder that forgets pogo."""
    publish(served.runtime, "no-pogo")
    found: list[dict[str, Any]] = []
    for encoder in ("base", "no-pogo", "no-pogo"):
        body = {"prompt": "a meadow", "steps": 1, "frames": 1, "encoder": encoder}
        asked = served.client.post("/v1/videos", json=body).raise_for_status().json()
        found.append(wait_for(served.client, f"/v1/videos/{asked['id']}"))
    return found


@pytest.fixture
def file(served: RunningServer, videos: list[dict[str, Any]], tmp_path: Path) -> Path:
    """Return an export of the whole ledger."""
    path = tmp_path / "ledger.json"
    done = palimpsest("ledger", "export", path, server=served.url)
    assert (done.status, done.err) == (0, ""), done
    assert done.out.startswith(f"{path}: {len(videos)} entries of the ledger")
    return path


def edited(file: Path, change: Any) -> Path:
    """Return a copy of an export in which something was changed."""
    found = json.loads(file.read_bytes())
    change(found["pages"][0]["entries"])
    path = file.with_name("edited.json")
    path.write_text(json.dumps(found))
    return path


def test_an_export_is_checked_offline_in_one_sentence(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    done = palimpsest("ledger", "verify", file)
    assert done.status == 0, done
    assert done.out.startswith("The ledger holds: entries 1 to 3 (3 shown)")
    assert "--certificates" in done.err
    found = palimpsest("ledger", "verify", file, "--json").json
    assert (found["holds"], found["faults"], found["last"]) == (True, [], 3)
    pem = file.with_name("server.pem")
    pem.write_text(json.loads(file.read_bytes())["pages"][0]["certificates"])
    trusted = palimpsest("ledger", "verify", file, "--certificates", pem)
    assert (trusted.status, trusted.err) == (0, "")


def test_what_was_done_to_a_file_is_named(file: Path) -> None:
    def change(entries: list[Any]) -> None:
        entries[1]["encoder"]["id"] = "another"

    def remove(entries: list[Any]) -> None:
        del entries[1]

    def cut(entries: list[Any]) -> None:
        del entries[-1]

    def swap(entries: list[Any]) -> None:
        entries[0], entries[2] = entries[2], entries[0]

    for done, says in (
        (change, "entry 2 was changed"),
        (remove, "entry 2 is missing"),
        (cut, "entry 3 is missing"),
        (swap, "entries 1 and 3 are swapped"),
    ):
        path = edited(file, done)
        palimpsest("ledger", "verify", path).assert_failed("The ledger does not hold", says)
        as_json = palimpsest("ledger", "verify", path, "--json")
        assert (as_json.status, as_json.json["holds"]) == (1, False)
        assert says in as_json.json["says"]


def test_files_that_cannot_be_used_are_refused(file: Path, tmp_path: Path) -> None:
    palimpsest("ledger", "verify", tmp_path / "absent.json").assert_failed("absent.json")
    other = tmp_path / "other.json"
    other.write_bytes(b"\xff\xfe")
    palimpsest("ledger", "verify", other).assert_failed("no export of a ledger")
    palimpsest("ledger", "verify", file, "--certificates", other).assert_failed("PEM")
    palimpsest("ledger", "export", file).assert_failed("exists already")
    bad = palimpsest("ledger", "export", tmp_path / "x.json", "--since", "yesterday")
    assert bad.status == 2
    assert "2026-11-29" in bad.err


def test_an_export_can_show_a_part(
    served: RunningServer, videos: list[dict[str, Any]], tmp_path: Path
) -> None:
    last = videos[-1]["completed_at"]
    for number, (option, value, entries) in enumerate(
        (
            ("--encoder", "no-pogo", 2),
            ("--owner", "local", 3),
            ("--owner", "nobody", 0),
            ("--until", "2020-01-01", 0),
            ("--since", "2020-01-01T00:00:00+01:00", 3),
            ("--since", last + 1, 0),
        )
    ):
        path = tmp_path / f"{number}.json"
        arguments = ("ledger", "export", option, value, path, "--json")
        assert palimpsest(*arguments, server=served.url).json["entries"] == entries
        found = palimpsest("ledger", "verify", path, "--json").json
        assert (found["holds"], found["entries"], found["last"]) == (True, entries, 3)


def test_since_when_a_key_is_served_without_a_concept(
    served: RunningServer, videos: list[dict[str, Any]]
) -> None:
    base, first, _ = videos
    asked = ("ledger", "since", "--owner", "local", "--concept")
    said = palimpsest(*asked, "pogo", server=served.url)
    assert (said.status, said.err) == (0, "")
    every, without = said.out.splitlines()
    assert every.startswith("Since 20")
    assert "2 clips" in every
    assert first["id"] in every
    assert base["id"] in without
    assert "with the base" in without
    never = palimpsest(*asked, "rex", server=served.url)
    assert never.out.startswith("The last clip of local was made without")
    found = palimpsest(*asked, "pogo", "--json", server=served.url).json
    assert (found["clips"], found["since"]) == (2, first["completed_at"])
    nobody = ("ledger", "since", "--owner", "nobody", "--concept", "pogo")
    palimpsest(*nobody, server=served.url).assert_failed("nobody")


def test_a_recall_is_one_command(served: RunningServer, videos: list[dict[str, Any]]) -> None:
    served.client.put("/v1/aliases/live", json={"encoder": "no-pogo"}).raise_for_status()
    said = palimpsest("encoders", "recall", "no-pogo", server=served.url)
    assert (said.status, said.err) == (0, "")
    for words in (
        "pogo (character)",
        "local",
        "live",
        "2 clips were made with the encoder no-pogo",
    ):
        assert words in said.out
    assert videos[1]["id"] not in said.out
    with_clips = palimpsest("encoders", "recall", "no-pogo", "--clips", server=served.url)
    assert videos[1]["id"] in with_clips.out
    assert videos[0]["id"] not in with_clips.out
    found = palimpsest("encoders", "recall", "no-pogo", "--json", server=served.url).json
    assert [one["video_id"] for one in found["data"]] == [one["id"] for one in videos[1:]]
    palimpsest("encoders", "recall", "live", server=served.url).assert_failed("alias", "no-pogo")
    palimpsest("encoders", "recall", "a/b", server=served.url).assert_failed("a/b")


def test_both_take_an_admins_key(served: RunningServer, tmp_path: Path) -> None:
    for command in (("ledger", "export", tmp_path / "x.json"), ("encoders", "recall", "no-pogo")):
        palimpsest(*command, server=served.locked).assert_failed("PALIMPSEST_API_KEY")
    assert not (tmp_path / "x.json").exists()
