"""A copy that kills its own process at a point.

A point is the name of a step, and the number of the call that does not come any more.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.copying import new_server
from server.copying.backup import opened_backup
from server.copying.copied_files import CopiedFiles
from server.copying.copying import fill
from server.copying.server_source import stopped_server
from server.settings import Settings
from server.storage.bucket import Bucket
from server.storage.data_folders import DataFolders

POINTS = ("begun:1", "file:1", "file:4", "rows:1", "rows:9", "compared:12", "committed:1")
"""Points in the order in which a copy comes to them."""
_STEPS: dict[str, list[tuple[Any, str]]] = {
    "begun": [(new_server, "NewServer")],
    "file": [(CopiedFiles, "write")],
    "rows": [(new_server, "write_lines")],
    "compared": [(new_server.NewServer, "_compare")],
    "committed": [(Bucket, "end_copy"), (DataFolders, "end_copy")],
}


def run_killed(point: str, source: Path, settings: dict[str, Any]) -> None:
    """Copy in a process of its own, which is killed at a point."""
    processes = multiprocessing.get_context("forkserver")  # it imports this module once
    processes.set_forkserver_preload([__name__])
    arguments = (point, source, settings, dict(os.environ))
    process = processes.Process(target=_copy, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, f"{point} was not reached"


def _die_at(place: Any, name: str, number: int) -> None:
    whole: Callable[..., Any] = getattr(place, name)
    calls = 0

    @functools.wraps(whole)
    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **named)

    setattr(place, name, counted)


def _copy(point: str, source: Path, settings: dict[str, Any], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    step, _, number = point.partition(":")
    for place, name in _STEPS[step]:
        _die_at(place, name, int(number))
    opened = stopped_server if source.is_dir() else opened_backup
    with opened(source) as found:
        fill(found, Settings.model_validate(settings), lambda *_: None)
