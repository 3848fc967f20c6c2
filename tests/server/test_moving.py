"""A server's data is moved to PostgreSQL and a bucket, and back into a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.faults.earlier_data import SCHEMAS, restore
from encoders import PalimpsestError
from server.copying.backup import opened_backup
from server.copying.copying import back_up, fill
from server.copying.server_source import opened_server, stopped_server
from server.settings import Settings
from server.storage.data_directory import DataDirectory
from server.storage.sqlite_database import SqliteDatabase
from tests.server.copied_server import (
    HEADERS,
    KEY,
    SETTINGS,
    VIDEO,
    CopiedServer,
    answers,
    rows,
    silent,
    stored,
)
from tests.server.help import Client, bearer, settings_for, wait_for, wait_ready


def check_copy(client: Client, source: CopiedServer) -> None:
    """Check that a server answers what the source did, and ends its jobs."""
    assert client.get("/v1/videos").status_code == 401
    assert answers(client, source.video) == source.seen
    again = client.post("/v1/videos", json={**VIDEO, "encoder": "policy"}, headers=HEADERS)
    assert again.json()["id"] == source.video
    for path, status in (
        ("videos/" + source.waiting, "completed"),
        ("encoders/waiting", "published"),
    ):
        assert wait_for(client, f"/v1/{path}", key=KEY)["status"] == status
    listed = client.get("/v1/videos", headers=bearer(KEY)).json()["data"]
    assert [video["id"] for video in listed] == [source.waiting, source.video]


def refused(data: Path) -> str:
    """Return why a data directory is no source."""
    with pytest.raises(PalimpsestError) as raised, stopped_server(data):
        pass
    return str(raised.value)


def test_what_cannot_be_moved_is_said(tmp_path: Path) -> None:
    assert "has no records.sqlite" in refused(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "earlier").mkdir()
    earlier = restore(SCHEMAS[-1], tmp_path / "earlier")
    assert "earlier version of Palimpsest: start the server once, which upgrades" in refused(
        earlier
    )
    (tmp_path / "new").mkdir()
    new = SqliteDatabase(tmp_path / "new" / "records.sqlite")
    with new.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    new.close()
    assert "a newer version of Palimpsest" in refused(tmp_path / "new")
    (tmp_path / "bucket").mkdir()
    SqliteDatabase(tmp_path / "bucket" / "records.sqlite").close()
    assert "If the files are in a bucket" in refused(tmp_path / "bucket")
    data = tmp_path / "cut"
    data.mkdir()
    DataDirectory(Settings.model_validate({"data_dir": data, "database": "", "store": ""})).close()
    with stopped_server(data) as stopped, stopped.rows() as found:
        assert stopped.files(found.attempts()).sizes() == {}
    (data / "videos").rename(tmp_path / "unmounted")
    assert "or they are away" in refused(data)


def test_there_and_back(
    copied_server: CopiedServer,
    quick_backbone_dir: Path,
    places: dict[str, str],
    tmp_path: Path,
) -> None:
    source = copied_server
    before = stored(settings_for(quick_backbone_dir, source.data, **SETTINGS))
    new = settings_for(quick_backbone_dir, tmp_path / "new", **{**SETTINGS, **places})
    with stopped_server(source.data) as stopped:
        copied = fill(stopped, new, silent)
    assert copied.left_out == []
    assert copied.files == len(before["files"]) > 10
    assert (
        stored(new) == before == stored(settings_for(quick_backbone_dir, source.data, **SETTINGS))
    )
    with Client(new) as client:
        wait_ready(client)
        check_copy(client, source)
        numbers = [row["sequence"] for row in rows(client.runtime.database)["videos"]]
        assert numbers == [1, 3]  # 2 was deleted
        with opened_server(new) as running:
            back_up(running, tmp_path / "today.tar", silent)
        moved = answers(client, source.video)
        client.runtime.end_waits()
    back = settings_for(quick_backbone_dir, tmp_path / "back", **SETTINGS)
    with opened_backup(tmp_path / "today.tar") as backup:
        backup.check(lambda done, total: None)
        fill(backup, back, silent)
    (tmp_path / "today.tar").unlink()
    with Client(back) as client:
        wait_ready(client)
        assert answers(client, source.video) == moved == source.seen
        asked = client.post("/v1/videos", json=VIDEO, headers=bearer(KEY)).json()["id"]
        assert wait_for(client, f"/v1/videos/{asked}", key=KEY)["status"] == "completed"
        assert [row["sequence"] for row in rows(client.runtime.database)["videos"]] == [1, 3, 4]
