"""Command of `make bench-dashboard`: a server under load, and the dashboard's panels as a picture.

With `QUICK=1` the load is short and no picture is committed: a check that it runs. It needs
Debian's package prometheus.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.dashboard.load import ADMIN, KEYS, SETTINGS, drive
from benchmarks.dashboard.panels import read_panels
from benchmarks.dashboard.picture import Drawn, draw
from benchmarks.dashboard.prometheus import Prometheus, prometheus
from benchmarks.faults.keys import write_keys
from benchmarks.faults.served import served
from benchmarks.harness import WEIGHTS
from benchmarks.results import show
from benchmarks.serving.encoders import publish
from video import load_backbone

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "dashboard.png"
_QUICK = bool(os.environ.get("QUICK"))
_ENCODERS = 4
_INTERVAL = "15s"
_SPARE_S = 180.0
_AUDITED = "sum(rate(palimpsest_audit_probes_total[15s])) > 0"


def main(
    work: Annotated[Path, typer.Option(help="Where data and logs are kept; emptied first.")] = Path(
        ".work/bench-dashboard"
    ),
    seconds: Annotated[float, typer.Option(help="Seconds of the load.")] = 15 if _QUICK else 120,
) -> None:
    """Fill the dashboard, and draw it. Ends with 1 if a panel has no data."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    work = work.resolve()
    data = work / "data"
    publish(load_backbone(WEIGHTS).text_encoder, data / "encoders", _ENCODERS)
    keys = write_keys(work / "keys.json", **KEYS)
    with (
        served(data, work, descriptors=None, keys_file=keys, **SETTINGS) as server,
        prometheus(work / "prometheus", server.host, f"secret-{ADMIN}") as source,
    ):
        begin = time.time()
        drive(server, _ENCODERS, seconds)
        _wait_audited(source, begin)
        end = time.time()
        panels: list[Drawn] = [
            (
                panel,
                [
                    (target.name(one.labels), one)
                    for target in panel.targets
                    for one in source.series(target.expression, begin, end)
                ],
            )
            for panel in read_panels(_INTERVAL)
        ]
    draw(panels, work / PICTURE.name if _QUICK else PICTURE, begin)
    show(
        "Panels",
        ("panel", "series"),
        [[panel.title, str(len(series) or "no data")] for panel, series in panels],
    )
    if not all(series for _, series in panels):
        raise typer.Exit(1)


def _wait_audited(source: Prometheus, begin: float) -> None:
    """Leave the server alone until it has audited an encoder, or for the longest time."""
    until = time.monotonic() + _SPARE_S
    while time.monotonic() < until and not source.series(_AUDITED, begin, time.time()):
        time.sleep(1)


if __name__ == "__main__":
    typer.run(main)
