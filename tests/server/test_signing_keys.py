"""Signing keys of a server: its own, those of the settings, and what cannot be used."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from marking.certificate import KeyPair, make_key_pair
from marking.errors import KeyUnavailable, SigningKeyInvalid
from server.settings import Settings
from server.storage.signing_keys import SigningKeys
from server.storage.sqlite_database import SqliteDatabase
from tests.marking.test_signing_key import SIGNS


def keys_of(folder: Path, **settings: Any) -> SigningKeys:
    database = SqliteDatabase(folder / "records.sqlite")
    keys = SigningKeys(database, Settings(data_dir=folder, **settings))
    keys.prepare()
    return keys


def written(folder: Path, pair: KeyPair) -> dict[str, Path]:
    paths = {"signing_key": folder / "key.pem", "signing_certificates": folder / "chain.pem"}
    paths["signing_key"].write_text(pair.private_key)
    paths["signing_certificates"].write_text(pair.certificates)
    return paths


def test_a_server_makes_a_key_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = keys_of(tmp_path, issuer="Acme Videos").active()
    assert "unknown" in caplog.text
    caplog.clear()
    assert keys_of(tmp_path).active().key_id == first.key_id
    assert not caplog.text
    [row] = keys_of(tmp_path).all()
    assert row.private_key is not None


def test_the_settings_name_a_key(tmp_path: Path) -> None:
    own = keys_of(tmp_path).active().key_id
    paths = written(tmp_path, make_key_pair("Acme Videos"))
    keys = keys_of(tmp_path, **paths)
    assert keys.active().key_id not in (own, None)
    assert [row.private_key is None for row in keys.all()] == [False, True]
    keys.prepare()
    assert len(keys.all()) == 2, "a known key is not added again"
    assert keys_of(tmp_path).active().key_id == own, "without the setting its own signs again"


def test_the_settings_name_a_command(tmp_path: Path) -> None:
    pair = make_key_pair("Acme Videos")
    paths = written(tmp_path, pair)
    (tmp_path / "sign.py").write_text(SIGNS)
    words = (sys.executable, str(tmp_path / "sign.py"), str(paths.pop("signing_key")))
    keys = keys_of(tmp_path, signing_command=shlex.join(words), **paths)
    assert keys.active().sign(b"data")


def test_settings_that_cannot_be_used_say_which(tmp_path: Path) -> None:
    paths = written(tmp_path, make_key_pair("Acme"))
    alone = {"signing_key": paths["signing_key"]}
    with pytest.raises(SigningKeyInvalid, match="PALIMPSEST_SIGNING_CERTIFICATES has to name"):
        keys_of(tmp_path, **alone)
    with pytest.raises(SigningKeyInvalid, match="PALIMPSEST_SIGNING_COMMAND"):
        keys_of(tmp_path, signing_certificates=paths["signing_certificates"])
    with pytest.raises(SigningKeyInvalid, match="PALIMPSEST_SIGNING_COMMAND"):
        keys_of(tmp_path, **paths, signing_command="sign")
    with pytest.raises(SigningKeyInvalid, match=r"nowhere\.pem"):
        keys_of(tmp_path, **{**paths, "signing_key": tmp_path / "nowhere.pem"})
    ended = make_key_pair("Acme", datetime.now(UTC) - timedelta(days=6 * 365))
    with pytest.raises(SigningKeyInvalid, match="was valid until"):
        keys_of(tmp_path, **written(tmp_path, ended))


def test_a_revoked_key_signs_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = keys_of(tmp_path)
    first = keys.active().key_id
    row = keys.revoke(first)
    assert row.revoked_at is not None
    assert keys.all()[0].private_key is None
    assert keys.active().key_id != first, "another one is made at once"
    with pytest.raises(SigningKeyInvalid, match="no signing key"):
        keys.revoke("sha256:00")
    given = keys_of(tmp_path, **written(tmp_path, make_key_pair("Acme")))
    given.revoke(given.active().key_id)
    with pytest.raises(KeyUnavailable) as refused:
        given.active()
    assert "was revoked" in caplog.text
    assert "log" in str(refused.value)
    with pytest.raises(SigningKeyInvalid, match="was revoked"):
        given.prepare()


def test_a_key_that_is_put_in_place_of_another_is_known_at_once(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, **written(tmp_path, make_key_pair("Acme")))
    first = keys.active().key_id
    written(tmp_path, make_key_pair("Acme"))
    second = keys.active().key_id
    assert [row.id for row in keys.all()] == [first, second]


def test_what_is_wrong_with_a_key_is_the_operators_to_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = written(tmp_path, make_key_pair("Acme"))
    keys = keys_of(tmp_path, **paths)
    paths["signing_key"].unlink()
    with pytest.raises(KeyUnavailable) as refused:
        keys.active()
    assert str(paths["signing_key"]) in caplog.text
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("command", ["'unbalanced", "/no/such/program --pin s3cret", "/bin/true"])
def test_a_command_that_cannot_sign_is_found_at_the_start(
    tmp_path: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = written(tmp_path, make_key_pair("Acme"))
    del paths["signing_key"]
    with pytest.raises(SigningKeyInvalid, match=r"cannot be (used|read)"):
        keys_of(tmp_path, signing_command=command, **paths)
    assert "s3cret" not in caplog.text


def test_a_key_that_is_about_to_end_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = datetime.now(UTC) - timedelta(days=5 * 365 - 20)
    monkeypatch.setattr(
        "server.storage.signing_keys.make_key_pair", lambda name: make_key_pair(name, then)
    )
    keys_of(tmp_path)
    monkeypatch.undo()
    renewed = keys_of(tmp_path)
    assert len(renewed.all()) == 2
    assert renewed.active().key_id == renewed.all()[1].id
