"""Servers for the tests."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.server.help import Client, settings_for, wait_ready

MakeClient = Callable[..., Client]


@pytest.fixture(scope="module")
def make_client(
    tiny_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[MakeClient]:
    """Starts a server in this process, ready to be asked. One at a time: DBOS is one a process."""
    with ExitStack() as stack:

        def make(**changes: Any) -> Client:
            stack.close()
            data = changes.pop("data_dir", None) or tmp_path_factory.mktemp("data")
            client = Client(settings_for(tiny_backbone_dir, data, **changes))
            stack.enter_context(client)
            wait_ready(client)
            return client

        yield make


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    """A server without keys, shared by a module's tests."""
    return make_client()
