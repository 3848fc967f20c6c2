"""The keys file: valid entries, and faults that keep the server from starting."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from server.auth.keys import BASE, hash_key
from server.auth.keys_file import KeysInvalid
from server.auth.live_keys import LiveKeys
from server.errors import Unauthorized

HASH = hash_key("secret")
USER = {"id": "acme", "sha256": HASH, "role": "user", "encoders": ["no-pogo"]}


def ring(tmp_path: Path, *entries: dict[str, Any]) -> LiveKeys:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return LiveKeys(path, list)


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
        json.dumps({"keys": [{**USER, "expires_at": "soon"}]}),
        json.dumps({"keys": [{**USER, "expires_at": -1}]}),
        json.dumps({"keys": ["acme"]}),
        *(
            json.dumps({"keys": [{**USER, "limits": limits}]})
            for limits in ({"queue": 1}, {"queued": -1}, {"queued": "7"}, {"queued": True}, [1], 7)
        ),
    ],
)
def test_an_invalid_keys_file_stops_the_start(tmp_path: Path, document: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(document)
    with pytest.raises(KeysInvalid, match=r"keys\.json"):
        LiveKeys(path, list)


def test_a_missing_keys_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeysInvalid):
        LiveKeys(tmp_path / "none.json", list)


def test_a_key_of_the_file_may_expire(tmp_path: Path) -> None:
    soon = int(time.time()) + 100
    for when in (soon, "2999-01-31", "2999-01-31T00:00:00Z"):
        keyring = ring(tmp_path, {**USER, "expires_at": when})
        assert keyring.caller(["Bearer secret"]).id == "acme"
    for when in (int(time.time()) - 1, "2020-01-31", "2020-01-31T00:00:00+02:00"):
        keyring = ring(tmp_path, {**USER, "expires_at": when})
        with pytest.raises(Unauthorized, match="expired"):
            keyring.caller(["Bearer secret"])
