"""The keys file: valid entries, and faults that keep the server from starting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.auth.keys import BASE, Keyring, KeysInvalid, hash_key, keyring_of
from server.errors import Unauthorized
from tests.server.help import ROOT

HASH = hash_key("secret")
USER = {"id": "acme", "sha256": HASH, "role": "user", "encoders": ["no-pogo"]}


def ring(tmp_path: Path, *entries: dict[str, Any]) -> Keyring:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return Keyring.read(path)


def test_a_key_is_known_by_its_hash(tmp_path: Path) -> None:
    keyring = ring(tmp_path, USER)
    caller = keyring.caller(["Bearer secret"])
    assert (caller.id, caller.role, caller.encoders) == ("acme", "user", {"no-pogo"})
    assert keyring.caller(["bearer  secret "]).id == "acme"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["secret"],
        ["Bearer"],
        ["Bearer "],
        ["Basic secret"],
        ["Bearer other"],
        [f"Bearer {HASH}"],
        ["Bearer s\udcffcret"],
        ["Bearer secret", "Bearer secret"],
    ],
)
def test_any_other_authorization_is_refused(tmp_path: Path, headers: list[str]) -> None:
    with pytest.raises(Unauthorized):
        ring(tmp_path, USER).caller(headers)


@pytest.mark.parametrize(
    ("changes", "default"),
    [
        ({}, "no-pogo"),
        ({"encoders": ["a", "b"]}, None),
        ({"encoders": ["a", "b"], "default_encoder": "b"}, "b"),
        ({"encoders": ["a", "base"]}, BASE),
        ({"encoders": ["*"]}, BASE),
        ({"encoders": ["*"], "default_encoder": "b"}, "b"),
        ({"encoders": None, "role": "admin"}, BASE),
    ],
)
def test_the_default_is_never_the_base_unless_the_key_may_use_it(
    tmp_path: Path, changes: dict[str, Any], default: str | None
) -> None:
    caller = ring(tmp_path, {**USER, **changes}).caller(["Bearer secret"])
    assert caller.default_encoder == default


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{}]}',
        '{"keys": 3}',
        json.dumps({"keys": [USER], "more": 1}),
        json.dumps({"keys": [USER, USER]}),
        json.dumps({"keys": [USER, {**USER, "id": "b"}]}),
        json.dumps({"keys": [{**USER, "sha256": "secret"}]}),
        json.dumps({"keys": [{**USER, "role": "root"}]}),
        json.dumps({"keys": [{**USER, "encoders": []}]}),
        json.dumps({"keys": [{**USER, "encoders": None}]}),
        json.dumps({"keys": [{**USER, "encoders": ["../x"]}]}),
        json.dumps({"keys": [{**USER, "default_encoder": "base"}]}),
        json.dumps({"keys": [{**USER, "role": "admin"}]}),
        json.dumps({"keys": [{**USER, "encoder": ["no-pogo"]}]}),
    ],
)
def test_an_invalid_keys_file_stops_the_start(tmp_path: Path, document: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(document)
    with pytest.raises(KeysInvalid, match=r"keys\.json"):
        keyring_of(path)


def test_a_missing_keys_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeysInvalid):
        keyring_of(tmp_path / "none.json")


def test_the_command_makes_a_key_that_works(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "server.auth.keys", "acme", "--encoder", "no-pogo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    secret, entry = (line.partition(": ")[2] for line in made.stdout.splitlines())
    assert secret not in entry
    assert ring(tmp_path, json.loads(entry)).caller([f"Bearer {secret}"]).id == "acme"
