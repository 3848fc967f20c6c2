"""`palimpsest keys`: keys in the database of a data directory."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import typer

from cli.keys import expiry
from server.auth.live_keys import LiveKeys
from server.errors import Unauthorized
from server.storage.sqlite_keys import stored_keys
from tests.cli.help import palimpsest


def server_on(data: Path, file: Path | None = None) -> LiveKeys:
    return LiveKeys(file, lambda: stored_keys(data / "records.sqlite"))


def made(*arguments: object) -> str:
    done = palimpsest("keys", "create", *arguments, "--json")
    assert done.status == 0, done
    return str(done.json["secret"])


def test_a_key_is_made_listed_rotated_and_revoked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = made("acme", "--encoder", "acme-policy", "--encoder", "no-blip", "--default", "no-blip")
    server = server_on(data)
    caller = server.caller([f"Bearer {first}"])
    assert (caller.id, caller.role, caller.default_encoder) == ("acme", "user", "no-blip")
    assert caller.encoders == {"acme-policy", "no-blip"}
    listed = palimpsest("keys", "list", "--json")
    assert first not in listed.out
    [key] = listed.json
    assert (key["id"], key["state"], key["expires_at"]) == ("acme", "valid", None)
    assert "acme-policy, no-blip" in palimpsest("keys", "list").out

    second = palimpsest("keys", "rotate", "acme", "--expires", "1h", "--json").json["secret"]
    server.refresh()
    assert server.caller([f"Bearer {second}"]) == caller
    with pytest.raises(Unauthorized):
        server.caller([f"Bearer {first}"])

    assert palimpsest("keys", "revoke", "acme").status == 0
    server.refresh()
    with pytest.raises(Unauthorized):
        server.caller([f"Bearer {second}"])
    assert palimpsest("keys", "list", "--json").json[0]["state"] == "revoked"
    palimpsest("keys", "create", "acme", "--role", "admin").assert_failed("acme", "rotate")


def test_the_secret_is_shown_once_and_stored_nowhere(tmp_path: Path) -> None:
    done = palimpsest("keys", "create", "boss", "--role", "admin", "--data-dir", tmp_path / "here")
    [line] = done.out.splitlines()
    secret = line.partition(": ")[2]
    assert server_on(tmp_path / "here").caller([f"Bearer {secret}"]).role == "admin"
    files = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90d", 90 * 86400), ("12h", 43200), ("30m", 1800), ("2w", 14 * 86400), ("5s", 5)],
)
def test_an_expiry_is_a_duration_or_a_date(text: str, seconds: int) -> None:
    before = time.time()
    when = expiry(text)
    assert when is not None
    assert before + seconds - 1 <= when <= time.time() + seconds


def test_an_expiry_that_makes_no_sense_is_refused() -> None:
    assert expiry("2999-01-31") == expiry("2999-01-31T00:00:00Z") == 32_474_736_000
    for wrong in ("soon", "0d", "-1d", "2020-01-01", "1y", ""):
        with pytest.raises(typer.BadParameter):
            expiry(wrong)
    assert palimpsest("keys", "create", "acme", "--expires", "soon").status == 2


def test_what_cannot_be_a_key_is_refused_in_one_line(tmp_path: Path) -> None:
    for arguments, says in (
        (["Acme", "--encoder", "x"], "id"),
        (["acme"], "must list the encoders"),
        (["acme", "--role", "root"], "role"),
        (["acme", "--role", "admin", "--encoder", "x"], "admin"),
        (["acme", "--encoder", "x", "--default", "base"], "not among its encoders"),
        (["acme", "--encoder", "../x"], "encoders"),
    ):
        palimpsest("keys", "create", *arguments).assert_failed(says)
    for command in (["list"], ["revoke", "acme"], ["rotate", "acme"]):
        palimpsest("keys", *command).assert_failed("no database")
    assert not (tmp_path / "data").exists()
    made("acme", "--encoder", "x")
    for command in ("revoke", "rotate"):
        palimpsest("keys", command, "nobody").assert_failed("nobody")


def test_an_entry_for_the_keys_file_stores_nothing(tmp_path: Path) -> None:
    done = palimpsest("keys", "create", "acme", "--encoder", "no-pogo", "--entry")
    secret, entry = (line.partition(": ")[2] for line in done.out.splitlines())
    assert not (tmp_path / "data").exists()
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [json.loads(entry)]}))
    assert server_on(tmp_path / "data", file).caller([f"Bearer {secret}"]).id == "acme"
    there = {"PALIMPSEST_KEYS_FILE": str(file)}
    again = palimpsest("keys", "create", "acme", "--encoder", "x", **there)
    again.assert_failed("keys file", "acme")


def test_a_key_may_have_additions(tmp_path: Path) -> None:
    secret = made("acme", "--encoder", "acme-policy", "--addition", "no-blip", "--addition", "live")
    caller = server_on(tmp_path / "data").caller([f"Bearer {secret}"])
    assert (caller.encoders, caller.additions) == ({"acme-policy"}, {"no-blip", "live"})
    [key] = palimpsest("keys", "list", "--json").json
    assert key["additions"] == ["no-blip", "live"]
    assert "no-blip, live" in palimpsest("keys", "list").out
    refused = palimpsest("keys", "create", "boss", "--role", "admin", "--addition", "no-blip")
    refused.assert_failed("leave 'additions' out")
