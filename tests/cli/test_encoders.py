"""`palimpsest encoders`, except export and import, which bypass the server."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from tests.cli.help import Command, CommandResult, RunningServer, palimpsest
from tests.server.help import publish
from unlearn.report.model import REPORT_HTML, REPORT_JSON

Run = Callable[..., CommandResult]

REPORT = {REPORT_HTML: b"<title>it</title>", REPORT_JSON: b'{"report": 1}'}


@pytest.fixture(autouse=True)
def _clean(served: RunningServer) -> None:
    """Start every test with two encoders: `one`, which has a report, and `two`."""
    for kind, force in (("encoders", "?force=true"), ("aliases", "")):
        for found in served.get(f"/v1/{kind}")["data"]:
            served.client.delete(f"/v1/{kind}/{found['id']}{force}").raise_for_status()
    publish(served.runtime, "one", report=REPORT)
    publish(served.runtime, "two", seed=2)


@pytest.fixture
def encoders(served: RunningServer) -> Run:
    """Return a function that runs `palimpsest encoders …` against the server."""

    def run(*arguments: object) -> CommandResult:
        return palimpsest("encoders", *arguments, server=served.url)

    return run


def test_the_list_has_them_with_their_aliases_newest_first(
    encoders: Run, served: RunningServer
) -> None:
    assert encoders("alias", "live", "one").status == 0
    done = encoders("list", "--json")
    assert [(one["id"], one["aliases"]) for one in done.json] == [("two", []), ("one", ["live"])]
    rows = [line.split() for line in encoders("list").out.splitlines()]
    assert rows[0] == ["id", "aliases", "status", "forgets", "gone", "kept", "made"]
    assert rows[2][:4] == ["two", "published", "pogo", "(character)"]
    assert rows[3][:3] == ["one", "live", "published"]
    for name in ("one", "two"):
        served.client.delete(f"/v1/encoders/{name}")
    assert "There are no encoders yet" in encoders("list").out


def test_a_list_longer_than_a_page_is_whole(encoders: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    get, asked = Client.get, list[Any]()

    def one_by_one(client: Client, path: str, **query: Any) -> dict[str, Any]:
        if "limit" in query:
            asked.append(query.get("after"))
            query["limit"] = 1
        return get(client, path, **query)

    monkeypatch.setattr(Client, "get", one_by_one)
    assert [one["id"] for one in encoders("list", "--json").json] == ["two", "one"]
    assert asked == [None, "two"]


def test_show_says_what_it_is_and_that_nobody_has_judged_it(
    encoders: Run, served: RunningServer
) -> None:
    done = encoders("show", "one")
    card = served.runtime.loaded.store.card("one")
    assert card.digest in done.out
    assert "pogo (character)" in done.out
    assert "It has not been judged" in done.out
    assert encoders("show", "one", "--json").json == served.get("/v1/encoders/one")


def test_an_alias_points_elsewhere_and_goes(encoders: Run, served: RunningServer) -> None:
    assert encoders("alias", "live", "one").out == "live points to one.\n"
    assert encoders("alias", "live", "two", "--json").json["encoder"] == "two"
    assert served.get("/v1/aliases/live")["encoder"] == "two"
    assert encoders("alias", "live", "--delete").out == "live is deleted.\n"
    assert served.get("/v1/aliases")["data"] == []
    encoders("alias", "live", "--delete").assert_failed("There is no alias 'live'")
    encoders("alias", "live", "nobody").assert_failed("There is no encoder 'nobody'")
    assert encoders("alias", "live").status == 2
    assert encoders("alias", "live", "one", "--delete").status == 2


def test_delete_does_as_it_is_told(encoders: Run, served: RunningServer) -> None:
    encoders("delete", "one").assert_failed("say --yes")
    assert served.get("/v1/encoders/one")["status"] == "published"
    assert encoders("delete", "one", "--yes").out == "one is deleted.\n"
    assert served.client.get("/v1/encoders/one").status_code == 404
    assert encoders("delete", "two", "--yes", "--json").json["deleted"] is True
    encoders("delete", "two", "--yes").assert_failed("There is no encoder 'two'")


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_delete_asks_who_is_there(served: RunningServer, answer: str, status: int) -> None:
    ours, theirs = pty.openpty()
    words = ("encoders", "delete", "one", "--json", "--server", served.url)
    command = Command(*words, stdin=theirs)
    os.write(ours, f"{answer}\n".encode())
    done = command.done()
    os.close(ours)
    os.close(theirs)
    assert "Delete one for good?" in done.err
    assert done.status == status
    assert (done.out == "") if status else (json.loads(done.out)["deleted"] is True)
    assert served.client.get("/v1/encoders/one").is_success == bool(status)


def test_a_report_is_downloaded_as_the_file_s_name_says(encoders: Run) -> None:
    assert encoders("report", "one", "-o", "one.html").out == "one.html: the report on one\n"
    assert Path("one.html").read_bytes() == REPORT[REPORT_HTML]
    assert encoders("report", "one", "-o", "one.json", "--json").json["file"] == "one.json"
    assert Path("one.json").read_bytes() == REPORT[REPORT_JSON]
    encoders("report", "one", "-o", "one.html").assert_failed("one.html exists already")
    encoders("report", "two", "-o", "two.html").assert_failed("'two' has no report")
    assert not Path("two.html").exists()
    assert encoders("report", "one").status == 2


@pytest.mark.parametrize("command", ["show", "delete", "report"])
@pytest.mark.parametrize("name", ["nobody", "../one", ".", "", "a/b"])
def test_a_name_that_is_none_is_one_line(encoders: Run, command: str, name: str) -> None:
    options = {"delete": ["--yes"], "report": ["-o", "x.html"]}.get(command, [])
    encoders(command, name, *options).assert_failed(
        "There is no encoder" if name == "nobody" else "id"
    )


def test_a_set_is_made_shown_and_outlives_no_forced_deletion(
    encoders: Run, served: RunningServer
) -> None:
    for i, name in enumerate(("left", "right")):
        publish(served.runtime, name, seed=5 + i, threshold=1e9)
    encoders("compose", "both", "left").assert_failed("two different members")
    encoders("compose", "both", "left", "one").assert_failed("'one' has no trigger")
    done = encoders("compose", "both", "left", "right")
    assert done.out.splitlines()[0] == "both is published. It forgets pogo (character)."
    shown = encoders("show", "both").out
    assert "left" in shown
    assert "right" in shown
    encoders("delete", "left", "--yes").assert_failed("member of 'both'")
    assert encoders("delete", "left", "--yes", "--force").out == "left is deleted.\n"
    assert "published, not usable" in encoders("show", "both").out
    assert "not usable" in encoders("list").out
    encoders("compose", "again", "both", "right").assert_failed("deleted or replaced")
    json_made = encoders("compose", "third", "right", "left", "--json")
    json_made.assert_failed("no encoder 'left'")
