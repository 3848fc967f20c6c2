"""A server on the tiny model for the tests of a file: in this process, over real HTTP.

It ends with its file: DBOS allows one server in a process, and the next file may need its own.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from server.api.app import create_app
from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from tests.cli.help import RunningServer, serve_in_thread
from tests.server.conftest import quick_backbone_dir
from tests.server.help import settings_for, wait_ready, write_keys

__all__ = ["quick_backbone_dir"]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run commands in an empty folder, without settings of this environment."""
    for name in list(os.environ):
        if name.startswith("PALIMPSEST_") or name == "BENTOML_HOME":  # which `make` sets
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def served(
    quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[RunningServer]:
    """Run the server, and in front of the same app a second address that asks for a key."""
    home = tmp_path_factory.mktemp("served")
    keys = write_keys(home / "keys.json", boss={"role": "admin"})
    changes = {"max_probes": 1, "judged_videos": 1, "min_base_rate": 0.0}
    changes["deleted_record_retention_seconds"] = 1000
    app = create_app(settings_for(quick_backbone_dir, home / "data", **changes))
    runtime = app.state.runtime
    door = {"max_body_bytes": 1 << 20, "observe": runtime.metrics.observe}
    open_door = Guard(app, keys=LiveKeys(None, list), **door)
    locked_door = Guard(app, keys=LiveKeys(keys, list), **door)
    with serve_in_thread(open_door) as url, serve_in_thread(locked_door, lifespan="off") as locked:
        served = RunningServer(url, locked, runtime)
        wait_ready(served.client)
        yield served
        served.client.close()
