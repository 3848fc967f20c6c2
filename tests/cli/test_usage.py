"""`palimpsest usage`, and limits that are set with keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from server.auth.live_keys import LiveKeys
from server.storage.sqlite_keys import stored_keys
from tests.cli.help import RunningServer, palimpsest


def test_a_keys_limits_are_set_shown_changed_and_noticed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    here = ("--data-dir", data)
    made = palimpsest(
        "keys", "create", "acme", "--encoder", "base", "--limit", "queued=5", "--limit",
        "stored_bytes=0", *here,
    )  # fmt: skip
    assert made.status == 0, made
    keys = LiveKeys(None, lambda: stored_keys(data / "records.sqlite"))
    assert keys.limits_of("acme") == {"queued": 5, "stored_bytes": 0}
    assert "queued=5, stored_bytes=0" in palimpsest("keys", "list", *here).out

    def change(*limits: str) -> Any:
        options = [part for limit in limits for part in ("--limit", limit)]
        return palimpsest("keys", "limit", "acme", *options, *here, "--json").json["limits"]

    assert change("in_flight=2", "stored_bytes=default") == {"queued": 5, "in_flight": 2}
    assert change() == {"queued": 5, "in_flight": 2}
    keys.refresh()
    assert keys.limits_of("acme") == {"queued": 5, "in_flight": 2}
    assert keys.limits_of("nobody") == {}
    shown = palimpsest("keys", "limit", "acme", "--limit", "queued=default", *here)
    assert shown.out == "acme has in_flight=2.\n"
    palimpsest("keys", "limit", "nobody", "--limit", "queued=1", *here).assert_failed("nobody")


def test_limits_that_cannot_be_are_refused(tmp_path: Path) -> None:
    here = ("--data-dir", tmp_path / "data")
    for limit in ("queue=5", "queued", "queued=-1", "queued=1.5", "queued=many", "in_flight=0"):
        for command in (("create", "--encoder", "base"), ("limit",)):
            done = palimpsest("keys", command[0], "acme", *command[1:], "--limit", limit, *here)
            assert done.status == 2, (limit, done)
            assert limit.partition("=")[0] in done.err
    assert not (tmp_path / "data").exists()


def test_usage_is_shown_by_key_and_by_day(served: RunningServer) -> None:
    body = {"prompt": "a meadow", "steps": 1, "frames": 1}
    served.client.post("/v1/videos", json=body).raise_for_status()
    found = palimpsest("usage", "--json", server=served.url).json
    assert (found["id"], found["limits"]["queued"]) == ("local", None)
    assert found["days"][0]["videos"] >= 1
    shown = palimpsest("usage", server=served.url)
    assert (shown.status, shown.err) == (0, "")
    assert "key local" in shown.out
    assert "no limit" in shown.out
    assert found["days"][0]["day"] in shown.out
    every = palimpsest("usage", "--all", "--days", 2, server=served.url)
    assert every.status == 0
    assert "local" in every.out
    palimpsest("usage", "--owner", "x", "--all", server=served.url).assert_failed("--all")
    palimpsest("usage", "--owner", "nobody", server=served.url).assert_failed("nobody")
