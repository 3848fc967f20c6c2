"""A copy that kills itself: `python -m tests.server.killed_copy <point> <from> <settings>`.

The point is the name of a step and the number of the call that does not come any more. `from` is a
data directory or a backup, `settings` are those of the new server as JSON.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
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

ROOT = Path(__file__).resolve().parents[2]  # that of `help` comes with torch
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
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.server.killed_copy",
            point,
            str(source),
            json.dumps(settings),
        ],
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached"


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


def _main(point: str, source: Path, settings: dict[str, Any]) -> None:
    step, _, number = point.partition(":")
    for place, name in _STEPS[step]:
        _die_at(place, name, int(number))
    opened = stopped_server if source.is_dir() else opened_backup
    with opened(source) as found:
        fill(found, Settings.model_validate(settings), lambda *_: None)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
