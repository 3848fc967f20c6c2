"""Files that the server did not make: no start takes their directory, and no sweep removes them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import run

import pytest

from benchmarks.faults.earlier_data import SCHEMAS, restore
from encoders.directory_blobs import DirectoryBlobs
from encoders.folder_marker import mark
from server.jobs.leftovers import Leftovers
from server.start_checks import StartRefused, check_data_dir
from server.storage import private_files
from server.storage.base_clips import BaseClips
from server.storage.lock import DataLock
from server.storage.owned_names import ForeignDirectory, check_own
from server.storage.video_files import VideoFiles
from tests.server.conftest import MakeClient
from tests.server.help import ROOT, Client, settings_for
from tests.server.stored_help import data_folder
from tests.server.test_start import BENTOML, PALIMPSEST, Start

HOME = ("bin/tool", "videos/holiday.mp4", "videos/summer/b.mp4", "making/lace/z", "bentoml/x")
FOREIGN = (
    "mine.txt",
    "other/.cache-0123abcd",
    "other/x#1",
    "bin/tool",
    "videos/holiday.mp4",
    "videos/video_mine/a.mp4",
    "videos/.video-0123abcd",
    "videos/.unfinished/mine/a.mp4",
    "making/lace/z",
    "making/encoder_mine/z",
    "base-clips/mine.npy",
    "base-clips/.mine-0123abcd",
    "encoders/mine/.x-0123abcd",
    "encoders/notes.txt",
    "encoders/encoders/mine/notes.txt",
    "drafts/notes.txt",
)
Tree = Mapping[str, tuple[int, int, bytes]]


def lay(folder: Path, names: tuple[str, ...]) -> Path:
    """Write files that everybody may read, as old as a leftover, and return their folder."""
    before = time.time() - 7200
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o755)
        os.utime(path, (before, before))
    folder.chmod(0o755)
    return folder


def tree(folder: Path) -> Tree:
    """Return all that is in a folder, with its rights, time and content."""
    found = {str(path.relative_to(folder)): path for path in (folder, *folder.rglob("*"))}
    assert len(found) > 1
    return {
        name: (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for name, path in found.items()
    }


@pytest.mark.parametrize(
    "names",
    [
        HOME,
        ("notes.txt",),
        ("videos/holiday.mp4",),
        (f"videos/video_{0:032}/video.mp4",),
        ("making/lace/z",),
        ("encoders/notes.txt",),
        ("base-clips/a",),
        (".git/config",),
        ("lost+found/x", "bentoml/x", "keys.json", "a\nb"),
    ],
)
def test_a_directory_that_was_never_a_servers_is_refused_untouched(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    home = lay(tmp_path / "home", names)
    before = tree(home)
    with pytest.raises(ForeignDirectory, match=r"home' is no data directory.*it has '.*or empty"):
        check_data_dir(home)
    with pytest.raises(ForeignDirectory):
        DataLock(home).take()
    with pytest.raises(ForeignDirectory), Client(settings_for(tmp_path, home)):
        pass
    assert tree(home) == before


def test_a_directory_before_its_first_start_is_taken(tmp_path: Path) -> None:
    for name in (
        "lost+found",
        "bentoml/models",
        "videos/lost+found",
        "making",
        "encoders/encoders",
    ):
        (tmp_path / "volume" / name).mkdir(parents=True)
    for name in (".gitkeep", "server.log", "keys.json"):
        (tmp_path / "volume" / name).touch()
    mark(tmp_path / "volume/drafts")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "volume", tmp_path / "empty", tmp_path / "absent/data"):
        check_data_dir(folder)
        check_data_dir(folder)  # it has a lock file now
    with pytest.raises(StartRefused):
        check_data_dir(tmp_path / "volume/keys.json")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_data_of_earlier_versions_is_taken(tmp_path: Path, schema: str) -> None:
    check_own(restore(schema, tmp_path))
    (tmp_path / "jobs.sqlite").unlink()  # as in a backup
    check_own(tmp_path)


def test_no_program_starts_on_anothers_directory(tmp_path: Path) -> None:
    home = lay(tmp_path / "home", HOME)
    before = tree(home)
    starts = [Start(*command, data_dir=home) for command in (BENTOML, PALIMPSEST)]
    for start in starts:
        start.assert_refused(str(home), "'bin'", "PALIMPSEST_DATA_DIR")
    assert tree(home) == before
    imported = ("encoders", "import", str(home), "--id", "a", "--concept", "b", "--kind", "style")
    commands = [
        ("keys", "create", "acme", "--role", "admin", "--data-dir", str(home)),
        imported,
        ("encoders", "export", "a", str(tmp_path / "out")),
        ("unlearn", "pogo", "--kind", "character"),
    ]
    (home / "encoders").mkdir()
    (home / "encoders/notes").touch()
    before = tree(home)
    for command in commands:
        done = run(
            [sys.executable, "-m", "cli", *command],
            cwd=ROOT,
            env={**os.environ, "PALIMPSEST_DATA_DIR": str(home), "PALIMPSEST_PORT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, command
        assert "is no data directory of Palimpsest" in done.stderr, command
    assert tree(home) == before


@pytest.mark.parametrize("name", ["DATA_DIR", "KEYS_FILE", "BACKBONE", "TWIN", "JUDGE", "DEVICE"])
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_path_is_refused_in_one_line(name: str, value: str, tmp_path: Path) -> None:
    lay(tmp_path, ("notes.txt",))
    done = run(
        [
            sys.executable,
            "-c",
            "from server.start_checks import one_line; "
            "from server.settings import Settings\nwith one_line(): Settings()",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), f"PALIMPSEST_{name}": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"PALIMPSEST_{name} cannot be used: it is empty: give it a value" in done.stderr


@pytest.mark.parametrize("command", [("keys", "list"), ("serve",)])
def test_an_empty_data_dir_option_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(
        [sys.executable, "-m", "cli", *command, "--data-dir", ""],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "It is empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_sweeps_and_starts_leave_other_files_alone(make_client: MakeClient, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data_folder(make_client(data_dir=data).runtime)
    foreign = lay(tmp_path / "foreign", FOREIGN)
    shutil.copytree(foreign, data, dirs_exist_ok=True)
    client = make_client(data_dir=data)  # a start removes and closes, too
    Leftovers(client.runtime.jobs.context).sweep(time.time())
    client.runtime.loaded.staging.sweep()
    BaseClips(DirectoryBlobs(data / "base-clips"), 0, "model")._make_room()
    VideoFiles(DirectoryBlobs(data / "videos")).sweep(dict, time.time())
    for name in FOREIGN:
        assert (data / name).read_text() == "mine", name
    shown = [name for name in FOREIGN if not name.startswith(("encoders/encoders", "videos/.unf"))]
    assert {name for name in shown if (data / name).stat().st_mode & 0o777 != 0o755} == set()


def test_rights_are_taken_from_the_servers_own_files_only(tmp_path: Path) -> None:
    own = (
        ".folders",
        "records.sqlite",
        "jobs.sqlite-wal",
        "server.lock",
        f"videos/video_{0:032}/video.mp4",
        "videos/.palimpsest-folder",
        f"making/encoder_{0:032}/shown/a.npz",
        f"base-clips/{0:064}",
        "encoders/encoders/a/card.json",
        "encoders/aliases/a",
        "drafts/encoders/a/card.json",
        "bentoml/a/b",
    )
    foreign = tuple(
        name for name in FOREIGN if not name.startswith(("encoders/enc", "videos/.unf"))
    )
    data = lay(tmp_path / "data", (*own, *foreign))
    assert private_files.tighten(data) > len(own)
    assert {name for name in own if (data / name).stat().st_mode & 0o077} == set()
    assert {name for name in foreign if (data / name).stat().st_mode & 0o777 != 0o755} == set()
