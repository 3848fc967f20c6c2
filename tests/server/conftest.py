"""Fixtures: servers over the tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from server.storage.database import Database
from server.storage.sqlite_database import SqliteDatabase
from tests.object_server import ObjectServer
from tests.postgres_server import create_database
from tests.server.copied_server import CopiedServer, build
from tests.server.databases import emptied
from tests.server.help import Client, settings_for, wait_ready
from tests.server.places import chosen

MakeClient = Callable[..., Client]


@pytest.fixture(scope="session")
def quick_backbone_dir(tiny_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the tiny model; its defaults are 4 frames in 2 steps."""
    return quickened(tiny_backbone_dir, tmp_path_factory.mktemp("quick") / "tiny")


def quickened(model: Path, directory: Path, *, steps: int = 2) -> Path:
    """Make a directory that links to a model's parts, with 4 frames in few steps as defaults."""
    directory.mkdir()
    for part in model.iterdir():
        (directory / part.name).symlink_to(part)
    book = json.loads((directory / "prompts.json").read_bytes())
    (directory / "prompts.json").unlink()
    book["defaults"] = {**book.get("defaults", {}), "steps": steps, "frames": 4}
    (directory / "prompts.json").write_text(json.dumps(book))
    return directory


@pytest.fixture(scope="session", autouse=True)
def chosen_places(request: pytest.FixtureRequest) -> Generator[None]:
    """Give each data directory a PostgreSQL database and a bucket, if the run asks for them."""
    with ExitStack() as stack:
        if request.config.getoption("--database") == "postgresql":
            port: int = request.getfixturevalue("postgres_port")
            stack.enter_context(chosen("database", lambda: create_database(port, uuid4().hex)))
        if request.config.getoption("--store") == "s3":
            server: ObjectServer = request.getfixturevalue("object_server")
            stack.enter_context(chosen("store", lambda: f"{server.bucket()}/prefix"))
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database]:
    """Yield an empty database of each kind."""
    if request.param == "sqlite":
        opened: Database = SqliteDatabase(tmp_path / "records.sqlite")
    else:
        opened = emptied(request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def make_client(
    quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[MakeClient]:
    """Yield a function that starts a server in this process and waits until it is ready.

    Each call stops the server before: DBOS allows one in a process.
    """
    with ExitStack() as stack:

        def make(**changes: Any) -> Client:
            stack.close()
            data = changes.pop("data_dir", None) or tmp_path_factory.mktemp("data")
            client = Client(settings_for(quick_backbone_dir, data, **changes))
            stack.enter_context(client)
            wait_ready(client)
            return client

        yield make


@pytest.fixture
def places(postgres_port: int, object_server: ObjectServer) -> dict[str, str]:
    """Return settings that name an empty PostgreSQL database and an empty prefix of a bucket."""
    return {
        "database": create_database(postgres_port, uuid4().hex),
        "store": f"{object_server.bucket()}/prefix",
    }


@pytest.fixture(scope="session")
def copied_server(
    quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> CopiedServer:
    """Return a stopped server on SQLite and a directory, for tests that copy it."""
    return build(quick_backbone_dir, tmp_path_factory.mktemp("source") / "data")


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    """Return a client of a server without keys, shared by a module's tests."""
    return make_client()
