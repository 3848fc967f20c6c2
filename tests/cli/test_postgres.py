"""Commands that work on a PostgreSQL database, named by PALIMPSEST_DATABASE."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.auth.live_keys import LiveKeys
from server.settings import Settings
from server.storage.backends import keys_of
from tests.cli.help import CommandResult, palimpsest
from tests.postgres_server import create_database


def test_keys_are_made_and_revoked_in_postgresql(postgres_url: str, tmp_path: Path) -> None:
    def run(*arguments: object) -> CommandResult:
        return palimpsest(*arguments, PALIMPSEST_DATABASE=postgres_url)

    run("keys", "list").assert_failed("PostgreSQL at 127.0.0.1:", "has no database, so no keys")
    made = run("keys", "create", "boss", "--role", "admin", "--json")
    assert made.status == 0, made
    server = LiveKeys(None, keys_of(Settings.model_validate({"database": postgres_url})))
    authorization = [f"Bearer {made.json['secret']}"]
    assert server.caller(authorization).role == "admin"
    assert [key["id"] for key in run("keys", "list", "--json").json] == ["boss"]
    assert run("keys", "revoke", "boss").status == 0
    server.refresh()
    assert server.known_id(authorization) is None
    run("signing", "list")
    assert list(tmp_path.rglob("*.sqlite")) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("+psycopg", "+psychopg"), "PALIMPSEST_DATABASE cannot be used: it is no URL"),
        (("@127.0.0.1", "@127.0.0.1:1/x?port=1&dbname="), "cannot be used just now"),
        (("s3cret", "wrong"), "password authentication failed"),
    ],
)
def test_what_cannot_be_used_is_one_line_without_a_password(
    postgres_port: int, change: tuple[str, str], says: str
) -> None:
    url = create_database(postgres_port, "commands").replace(*change)
    done = palimpsest("keys", "list", PALIMPSEST_DATABASE=url)
    done.assert_failed(says)
    for secret in ("s3cret", "with@signs", "with%40"):
        assert secret not in done.err + done.out
