"""`palimpsest verify` and `palimpsest signing`: offline, in one sentence."""

from __future__ import annotations

from pathlib import Path

from marking.clip_statement import ClipStatement
from marking.content_credentials import sign_media
from server.settings import Settings
from server.storage.signing_keys import SigningKeys
from server.storage.sqlite_database import SqliteDatabase
from tests.cli.help import palimpsest
from tests.marking.test_content_credentials import FILES


def signed_clip(data: Path) -> bytes:
    data.mkdir(exist_ok=True)
    keys = SigningKeys(
        SqliteDatabase(data / "records.sqlite"), Settings(data_dir=data, issuer="Acme")
    )
    keys.prepare()
    statement = ClipStatement(id="video_1", encoder_identity="sha256:ab", base="sha256:cd")
    return sign_media(FILES["video/mp4"], "video/mp4", statement, keys.active())


def test_a_clip_is_checked_offline(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = tmp_path / "clip.mp4"
    path.write_bytes(signed_clip(data))
    unknown = palimpsest("verify", path)
    assert unknown.status == 0
    assert "as it was signed" in unknown.out
    assert "goes by the name of 'Acme'" in unknown.out
    assert "sha256:ab" in unknown.out

    known = tmp_path / "known.pem"
    known.write_text(palimpsest("signing", "certificates", "--data-dir", data).out)
    trusted = palimpsest("verify", path, "--certificates", known)
    assert trusted.status == 0
    assert "whom you trust" in trusted.out
    assert palimpsest("verify", path, "--certificates", known, "--json").json["is_trusted"]

    signed_clip(tmp_path / "other")
    other = tmp_path / "other.pem"
    other.write_text(palimpsest("signing", "certificates", "--data-dir", tmp_path / "other").out)
    refused = palimpsest("verify", path, "--certificates", other)
    assert refused.status == 1
    assert "not by a signer whom you trust" in refused.out

    changed = bytearray(path.read_bytes())
    changed[changed.rindex(b"mdat") + 40] ^= 1
    path.write_bytes(changed)
    found = palimpsest("verify", path, "--certificates", known)
    assert found.status == 1
    assert "was changed" in found.out


def test_files_that_say_nothing(tmp_path: Path) -> None:
    for name, content, says in (
        ("plain.mp4", FILES["video/mp4"], "not signed"),
        ("text.txt", b"text", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        found = palimpsest("verify", tmp_path / name)
        assert found.status == 1
        assert says in found.out
    missing = palimpsest("verify", tmp_path / "nowhere.mp4")
    assert missing.status == 1
    assert "nowhere.mp4" in missing.err
    empty = palimpsest("verify", tmp_path / "plain.mp4", "--certificates", tmp_path / "text.txt")
    assert empty.status == 1
    assert "no certificates" in empty.err


def test_keys_are_listed_rotated_and_revoked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    signed_clip(data)
    [first] = palimpsest("signing", "list", "--data-dir", data, "--json").json
    assert (first["signer"], first["is_own"], first["revoked_at"]) == ("Acme", True, None)
    second = palimpsest("signing", "rotate", "--data-dir", data, "--json").json["id"]
    assert palimpsest("signing", "revoke", first["id"], "--data-dir", data).status == 0
    listed = palimpsest("signing", "list", "--data-dir", data)
    assert "revoked" in listed.out
    assert second in listed.out
    assert "PRIVATE KEY" not in listed.out
    unknown = palimpsest("signing", "revoke", "sha256:00", "--data-dir", data)
    assert unknown.status == 1
    assert "no signing key" in unknown.err
    nothing = palimpsest("signing", "list", "--data-dir", tmp_path / "nothing")
    assert nothing.status == 1
    assert "no database" in nothing.err
