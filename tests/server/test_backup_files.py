"""Backups: one file for either kind of server; one that is damaged is refused by name."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from encoders.store import EncoderStore
from server.copying.backup import opened_backup
from server.copying.copied_files import is_copied
from server.copying.copying import back_up, fill
from server.copying.errors import BackupDamaged, CopyRefused
from server.copying.manifest import MANIFEST
from server.copying.server_source import opened_server
from server.storage.private_files import private
from tests.server.copied_server import SETTINGS, CopiedServer, silent, stored
from tests.server.help import settings_for
from tests.server.killed_copy import run_killed


@pytest.fixture(scope="module")
def backup(copied_server: CopiedServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backups") / "today.tar"
    old = settings_for(copied_server.backbone, copied_server.data, **SETTINGS)
    with private(), opened_server(old) as source:
        back_up(source, path, silent)
        with pytest.raises(CopyRefused, match="exists already: choose another name"):
            back_up(source, path, silent)
    assert [file.name for file in path.parent.iterdir()] == ["today.tar"]
    assert path.stat().st_mode & 0o077 == 0
    return path


def refused(path: Path) -> str:
    """Return why a backup is refused."""
    with pytest.raises(BackupDamaged) as raised, opened_backup(path) as opened:
        opened.check(lambda done, total: None)
    return str(raised.value)


def changed(backup: Path, place: Path, member: str, content: bytes) -> Path:
    """Write a backup in which a file has another content, or is one more; return its path."""
    with tarfile.open(backup) as old, tarfile.open(place, "w") as new:
        for info in old.getmembers():
            if info.name != member:
                new.addfile(info, old.extractfile(info))
        info = tarfile.TarInfo(member)
        info.size = len(content)
        new.addfile(info, io.BytesIO(content))
    return place


def test_each_file_that_is_damaged_is_named(backup: Path, tmp_path: Path) -> None:
    with tarfile.open(backup) as opened:
        members = opened.getmembers()
    assert len(members) > 25
    damaged = tmp_path / "damaged.tar"
    for member in members:
        content = bytearray(backup.read_bytes())
        if member.size:
            content[member.offset_data] ^= 1
            damaged.write_bytes(content)
            assert f"is damaged at {member.name}: " in refused(damaged)


def test_a_backup_that_was_cut_off_is_refused(backup: Path, tmp_path: Path) -> None:
    content = backup.read_bytes()
    cut = tmp_path / "cut.tar"
    for length in (0, 100, 5000, len(content) // 2, len(content) - 15_000):
        cut.write_bytes(content[:length])
        assert "is damaged" in refused(cut)


def test_a_file_that_no_server_has_is_refused(backup: Path, tmp_path: Path) -> None:
    with tarfile.open(backup) as opened:
        file = opened.extractfile(MANIFEST)
        assert file is not None
        manifest = json.loads(file.read())
    entry = b'{"path":"encoders/encoders/../card.json","bytes":1,"sha256":"0"}\n'
    path = changed(backup, tmp_path / "one.tar", "files.jsonl", entry)
    assert "is damaged at files.jsonl" in refused(path)
    manifest["revision"], manifest["version"] = "0009", "0.9"
    path = changed(backup, tmp_path / "old.tar", MANIFEST, json.dumps(manifest).encode())
    with opened_backup(path) as opened, pytest.raises(CopyRefused, match=r"by Palimpsest 0\.9, wh"):
        opened.check(lambda done, total: None)


@pytest.mark.parametrize(
    "path",
    [
        "videos/x/video.mp4",
        "videos/video_" + "0" * 32 + "/1/video.mp4",
        "videos/video_" + "0" * 32 + "/../video.mp4",
        "encoders/encoders/../card.json",
        "encoders/encoders/a/../../../x",
        "encoders/aliases/x",
        "making/encoder_" + "0" * 32 + "/../x",
        "making/encoder_" + "0" * 32 + "/.hidden",
        "base-clips/" + "0" * 64,
        "/etc/passwd",
        "records.sqlite",
        "",
    ],
)
def test_names_that_are_no_servers_are_not_copied(path: str) -> None:
    assert not is_copied(path)
    assert is_copied("making/encoder_" + "0" * 32 + "/shown/x.npz")


def test_a_backup_is_restored_into_postgresql_and_a_bucket(
    backup: Path, copied_server: CopiedServer, places: dict[str, str], tmp_path: Path
) -> None:
    new = settings_for(copied_server.backbone, tmp_path / "new", **{**SETTINGS, **places})
    run_killed("file:7", backup, {"data_dir": tmp_path / "new", **places})
    with opened_backup(backup) as source:
        source.check(lambda done, total: None)
        fill(source, new, silent)
    old = settings_for(copied_server.backbone, copied_server.data, **SETTINGS)
    assert stored(new) == stored(old)
    assert not (tmp_path / "new").exists()


def test_what_is_deleted_during_a_backup_is_left_out_and_no_half_is_in_it(
    copied_server: CopiedServer, tmp_path: Path
) -> None:
    data = shutil.copytree(copied_server.data, tmp_path / "data")
    encoders = data / "encoders" / "encoders"

    def tell(phase: str, done: int, total: int) -> None:
        if phase.startswith("file 1 "):
            shutil.rmtree(encoders / "no-blip")  # as a server that runs meanwhile
            shutil.copytree(encoders / "no-pogo", encoders / "later")

    with opened_server(settings_for(copied_server.backbone, data, **SETTINGS)) as source:
        copied = back_up(source, tmp_path / "today.tar", tell)
    assert "encoders/encoders/no-blip/card.json" in copied.left_out
    new = settings_for(copied_server.backbone, tmp_path / "new", **SETTINGS)
    with opened_backup(tmp_path / "today.tar") as backup:
        backup.check(lambda done, total: None)
        assert len(fill(backup, new, silent).left_out) == 0
    store = EncoderStore(tmp_path / "new" / "encoders")
    assert store.ids() == ["both", "no-pogo"]
    assert store.load("no-pogo").card.id == "no-pogo"
