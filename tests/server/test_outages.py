"""Outages of storage: jobs wait and go on, and what is answered with 503 was not accepted."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError, NotFoundError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from encoders import EncoderInvalid
from server.outage import brief, is_outage
from server.storage import writers_turn
from server.storage.records import VideoRecord
from tests.server.help import Client, assert_error, device_held, settings_for, wait_for, wait_ready
from tests.server.test_dispatcher import begun, until

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
ENCODER = {
    "concept": "pogo",
    "kind": "character",
    "settings": {"steps": 2},
    "gate": {"min_base_rate": 0, "max_probes": 1},
}
Outage = Callable[[Path], AbstractContextManager[None]]


def mount(*arguments: str) -> bool:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    try:
        done = subprocess.run([*sudo, *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def is_written(file: RawIOBase) -> bool:
    """Write a page, and return True if there was room for it."""
    try:
        return bool(file.write(b"\0" * 4096))
    except OSError:
        return False


@contextmanager
def full(data: Path) -> Generator[None]:
    filler = data / "filler"
    with filler.open("wb", buffering=0) as file:
        while is_written(file):
            pass
    yield
    filler.unlink()


@contextmanager
def locked(data: Path) -> Generator[None]:
    if not (data / "records.sqlite").exists():
        pytest.skip("it locks SQLite's file")
    other = sqlite3.connect(data / "records.sqlite", isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.close()


@contextmanager
def away(data: Path) -> Generator[None]:
    gone = data.with_name("gone")
    data.rename(gone)
    yield
    # Nothing of the data may have been made anew meanwhile.
    assert not (data / "records.sqlite").exists()
    shutil.rmtree(data, ignore_errors=True)
    gone.rename(data)


@contextmanager
def database_away(data: Path) -> Generator[None]:
    (data / "records.sqlite").rename(data / "moved.sqlite")
    yield
    (data / "moved.sqlite").rename(data / "records.sqlite")


@contextmanager
def no_descriptors(data: Path) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def client(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Yield a server whose data lie on a small disk, where it may be mounted."""
    disk = tmp_path_factory.mktemp("disk")
    options = f"size=24m,uid={os.geteuid()}"
    is_mounted = mount("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers_turn, "BUSY_TIMEOUT_S", 0.2)
        try:
            with Client(settings_for(quick_backbone_dir, disk / "data")) as client:
                wait_ready(client)
                yield client
        finally:
            if is_mounted:
                mount("umount", "-l", str(disk))


def on_its_own_disk(client: Client) -> bool:
    return client.runtime.settings.data_dir.parent.is_mount()


@pytest.mark.parametrize("outage", [full, locked, away, database_away, no_descriptors])
def test_jobs_wait_for_storage_and_go_on(client: Client, outage: Outage) -> None:
    if outage is full and not on_its_own_disk(client):
        pytest.skip("a small disk cannot be mounted: run as root, or with sudo")
    data = client.runtime.settings.data_dir
    owners = begun(client)
    with device_held(client.runtime):
        running = client.post("/v1/videos", json=QUICK).json()["id"]
        name = f"no-pogo-{outage.__name__.replace('_', '-')}"
        accepted = client.post("/v1/encoders", json={**ENCODER, "id": name})
        assert accepted.status_code == 200, accepted.text
        until(lambda: "local" in owners, "the video was not begun")
        with outage(data):
            refused = client.post(
                "/v1/videos", json=QUICK, headers={"Idempotency-Key": outage.__name__}
            )
            if outage is not no_descriptors:  # open connections to the database go on
                assert_error(refused, 503, code="storage_unavailable")
                assert refused.headers["Retry-After"] == "5"
                deleted = client.delete(f"/v1/videos/{running}")
                assert_error(deleted, 503, code="storage_unavailable")
            if outage in (full, locked):  # reads need neither room nor the writers' lock
                assert client.get(f"/v1/videos/{running}").json()["status"] == "queued"
                assert client.get("/v1/videos").status_code == 200
    # The video was computed once the device was free, and could not be stored at first.
    done = wait_for(client, f"/v1/videos/{running}")
    assert done["status"] == "completed", done
    assert client.get(f"/v1/videos/{running}/content").status_code == 200
    again = client.post("/v1/videos", json=QUICK, headers={"Idempotency-Key": outage.__name__})
    assert again.status_code == 200, again.text
    assert wait_for(client, f"/v1/videos/{again.json()['id']}")["status"] == "completed"
    made = wait_for(client, f"/v1/encoders/{name}")
    assert made["status"] == "published", made


@pytest.mark.parametrize("outage", [full, locked, no_descriptors])
def test_a_finished_clip_is_kept_until_it_can_be_stored(
    client: Client, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    if outage is full and not on_its_own_disk(client):
        pytest.skip("a small disk cannot be mounted: run as root, or with sudo")
    owners = begun(client)
    with device_held(client.runtime):
        video = client.post("/v1/videos", json=QUICK).json()["id"]
        until(lambda: owners, "the video was not begun")
        disturbance = outage(client.runtime.settings.data_dir)
        disturbance.__enter__()
    try:
        waiting = re.compile(rf"waiting for storage: .*{video}: ")
        until(lambda: waiting.search(caplog.text), "nothing waits")
    finally:
        disturbance.__exit__(None, None, None)
    assert wait_for(client, f"/v1/videos/{video}")["status"] == "completed"
    assert len(owners) == 1, "it was computed twice"
    found = client.runtime.records.get(VideoRecord, VideoRecord.id == video)
    assert found is not None
    assert (found.attempt, found.interruptions) == (1, 0)


def caught(action: Callable[[], Any]) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("no error")


def test_outages_are_told_from_other_errors(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'small.sqlite'}")

    def fill() -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t (x UNIQUE)"))
            connection.execute(text("PRAGMA max_page_count = 5"))
            for i in range(9):
                connection.execute(text(f"INSERT INTO t VALUES ({i} || hex(zeroblob(4000)))"))

    def twice() -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE u (x UNIQUE)"))
            connection.execute(text("INSERT INTO u VALUES (1), (1)"))

    def unknown_table() -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT * FROM nowhere WHERE x = 'a prompt'"))

    def write(path: str) -> None:
        with open(path, "wb", buffering=0) as file:
            file.write(b"\0")

    def from_outage() -> None:
        raise EncoderInvalid("unreadable") from OSError(errno.EIO, "failing")

    outages = [
        caught(fill),
        caught(lambda: write("/dev/full")),
        caught(lambda: sqlite3.connect(tmp_path / "no" / "file").execute("SELECT 1")),
        caught(from_outage),
        *(OSError(code, "…") for code in (errno.EMFILE, errno.EROFS, errno.EDQUOT, errno.EIO)),
        GenericError("Generic LocalFileSystem error: Unable to open (os error 24)"),
        writers_turn.DatabaseBusy("busy"),
    ]
    assert [is_outage(error) for error in outages] == [True] * len(outages)
    assert isinstance(outages[0], DBAPIError)
    others = [
        caught(twice),
        caught(unknown_table),
        caught(lambda: write(str(tmp_path / "no" / "file"))),
        NotFoundError("Object at location x not found (os error 2)"),
        EncoderInvalid("of another base"),
        ValueError("no"),
    ]
    assert [is_outage(error) for error in others] == [False] * len(others)
    assert isinstance(others[0], IntegrityError)
    assert "prompt" not in brief(others[1])
    itself = OSError("its own cause")
    itself.__cause__ = itself
    assert not is_outage(itself)
