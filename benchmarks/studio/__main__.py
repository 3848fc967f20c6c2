"""Command of `make bench-studio`: three tasks, pictures for the documentation, and 50 open pages.

It needs Debian's chromium, and a machine with nothing else to do. With `QUICK=1` the gate is open,
the pages are few, and nothing is committed: a check that it runs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.results import show, write
from benchmarks.studio.open_pages import open_pages
from benchmarks.studio.pictures import Pictures
from benchmarks.studio.tasks import MADE, TASKS, NewcomerTask
from server.settings import Settings
from tests.studio.help import browser, studio_server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_QUICK = bool(os.environ.get("QUICK"))
_OPEN: dict[str, Any] = {
    "gate_tier": "quick",
    "min_forget_rate": 0,
    "max_retain_drop": 1,
    "max_probes": 2,
    "min_base_rate": 0,
}
_DEFAULTS: dict[str, Any] = {
    **{name: Settings.model_fields[name].default for name in ("gate_tier", "ways_pictures")},
    "threads": os.cpu_count(),
}
_SETTINGS = _OPEN if _QUICK else _DEFAULTS


def main(
    work: Annotated[Path, typer.Option(help="Where data and logs are kept; emptied first.")] = Path(
        ".work/bench-studio"
    ),
    chosen: Annotated[str, typer.Option("--parts", help="Measure these; none: all.")] = "",
) -> None:
    """Do the tasks and take the pictures (`tasks`), then measure with open pages (`pages`)."""
    shutil.rmtree(work, ignore_errors=True)
    parts = chosen.split(",") if chosen else ["tasks", "pages"]
    with browser() as started:
        if "tasks" in parts:
            home = (work / "tasks").resolve()
            home.mkdir(parents=True)
            pictures = Pictures(home if _QUICK else IMAGES)
            found: dict[str, Any] = {}
            with studio_server(home, ad_hoc_sets="true", **_SETTINGS) as server:
                server.client.delete(f"/v1/encoders/{MADE}").raise_for_status()
                for name, steps in TASKS.items():
                    with NewcomerTask(started, server.url) as task:
                        steps(task, pictures)
                    found[name] = task.figures()
                pictures.of_views(started, server.url)
            _told("tasks", found)
        if "pages" in parts:
            home = (work / "pages").resolve()
            home.mkdir(parents=True)
            with studio_server(home) as server:
                pages, seconds, rounds = (4, 5.0, 1) if _QUICK else (50, 30.0, 4)
                _told("pages", open_pages(server, started, pages, seconds, rounds))


def _told(part: str, figures: dict[str, Any]) -> None:
    show(f"studio, {part}", ("", "measured"), [(name, str(one)) for name, one in figures.items()])
    if not _QUICK:
        write(f"studio-{part}", figures)


if __name__ == "__main__":
    typer.run(main)
