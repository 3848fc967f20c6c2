"""A move that is killed: nobody uses the half of it, and the same command ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.copying.copying import fill
from server.copying.errors import CopyRefused
from server.copying.server_source import stopped_server
from server.settings import Settings
from server.storage.backends import open_database
from server.storage.bucket_probe import StoreUnfit, check_store
from server.storage.data_directory import DataDirectory
from server.storage.lock import DataLock
from server.storage.owned_names import ForeignDirectory
from tests.server.copied_server import SETTINGS, CopiedServer, silent, stored
from tests.server.help import settings_for
from tests.server.killed_copy import POINTS, run_killed


def check_no_server(settings: Settings) -> None:
    """Check that no server starts on a place, and that it writes nothing there."""
    if settings.store:
        with pytest.raises(StoreUnfit, match="is being filled by `palimpsest admin migrate`"):
            check_store(settings.store)
        with pytest.raises(StoreUnfit, match="is being filled"):
            DataDirectory(settings)
    else:
        with pytest.raises(ForeignDirectory, match="is being filled by `palimpsest admin migrate`"):
            DataLock(settings.data_dir).take()


@pytest.mark.parametrize("kind", [pytest.param("directory", marks=pytest.mark.slow), "bucket"])
def test_a_move_is_killed_at_every_point(
    kind: str, copied_server: CopiedServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    places: dict[str, Any] = {"database": "", "store": ""}
    if kind == "bucket":
        places = request.getfixturevalue("places")
    (tmp_path / "new").mkdir()
    new = settings_for(copied_server.backbone, tmp_path / "new", **{**SETTINGS, **places})
    said = {"data_dir": str(tmp_path / "new"), **places}
    for point in POINTS:
        run_killed(point, copied_server.data, said)
        check_no_server(new)
    with stopped_server(copied_server.data) as source:
        fill(source, new, silent)
    old = settings_for(copied_server.backbone, copied_server.data, **SETTINGS)
    assert stored(new) == stored(old)
    DataDirectory(new).close()
    with stopped_server(copied_server.data) as source, pytest.raises(CopyRefused, match="has rows"):
        fill(source, new, silent)


def test_what_was_deleted_before_the_next_try_is_not_there(
    copied_server: CopiedServer, tmp_path: Path
) -> None:
    said = {"data_dir": str(tmp_path / "new"), "database": "", "store": ""}
    new = settings_for(copied_server.backbone, tmp_path / "new", **SETTINGS)
    run_killed("committed:1", copied_server.data, said)
    extra = tmp_path / "new" / "encoders" / "encoders" / "gone" / "card.json"
    extra.parent.mkdir()
    extra.write_text("{}")
    damaged = next((tmp_path / "new" / "videos").rglob("video.mp4"))
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    with stopped_server(copied_server.data) as source:
        fill(source, new, silent)
    assert not extra.exists()
    assert stored(new) == stored(
        settings_for(copied_server.backbone, copied_server.data, **SETTINGS)
    )


def test_rows_that_changed_are_noticed(copied_server: CopiedServer, tmp_path: Path) -> None:
    said = {"data_dir": str(tmp_path / "new"), "database": "", "store": ""}
    new = settings_for(copied_server.backbone, tmp_path / "new", **SETTINGS)
    run_killed("committed:1", copied_server.data, said)
    database = open_database(new)
    with database.writing() as session:
        session.connection().exec_driver_sql(
            "UPDATE videos SET prompt = 'changed' WHERE sequence = 1"
        )
    database.close()
    with (
        stopped_server(copied_server.data) as source,
        pytest.raises(CopyRefused, match=r"'videos' .* is not the source's: it has 2 rows"),
    ):
        fill(source, new, silent)
    with pytest.raises(ForeignDirectory):
        DataLock(tmp_path / "new").take()
