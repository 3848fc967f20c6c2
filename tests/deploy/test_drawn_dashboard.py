"""The drawn dashboard: each of its panels is read, asked for and named, as Grafana would."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client import generate_latest

from benchmarks.dashboard.panels import PanelQuery, read_panels
from benchmarks.dashboard.picture import draw, shown
from benchmarks.dashboard.prometheus import Series, prometheus
from deploy.dashboard import ROWS
from server.metrics import Metrics

SECRET = "secret-acme"


def test_every_panel_is_read_with_its_row_unit_and_queries() -> None:
    panels = read_panels("15s")
    assert [(panel.row, panel.title, panel.unit) for panel in panels] == [
        (row, panel.title, panel.unit) for row, each in ROWS.items() for panel in each
    ]
    assert sum(len(panel.targets) for panel in panels) > 30
    assert not [t for panel in panels for t in panel.targets if "$" in t.expression]


def test_a_legend_names_a_series_by_its_labels() -> None:
    target = PanelQuery("x", "{{kind}} {{status}} now")
    assert target.name({"kind": "video", "status": "queued", "other": "x"}) == "video queued now"
    assert target.name({"kind": "video"}) == "video now"


def test_a_panel_without_a_unit_is_refused(tmp_path: Path) -> None:
    panel = {"id": 7, "type": "timeseries", "title": "t", "fieldConfig": {"defaults": {}}}
    file = tmp_path / "dashboard.json"
    file.write_text(json.dumps({"panels": [{**panel, "targets": []}]}))
    with pytest.raises(ValueError, match="panel 7"):
        read_panels("15s", file)


def test_values_are_shown_in_their_units() -> None:
    found = [(0.5, "percentunit"), (1.5e6, "bytes"), (0.25, "s"), (2000, "short"), (3, "ops")]
    assert [shown(*each) for each in found] == ["50 %", "1.5 MB", "0.25 s", "2 k", "3/s"]


def test_the_picture_is_small_and_says_what_is_missing(tmp_path: Path) -> None:
    times = np.arange(120.0)
    series = Series({}, times, np.sin(times) + 2)
    panels = [
        (panel, [] if number == 3 else [(f"series {n}", series) for n in range(3)])
        for number, panel in enumerate(read_panels("15s")[:8])
    ]
    file = tmp_path / "dashboard.png"
    draw(panels, file, 0.0)
    assert file.stat().st_size < 200_000
    with Image.open(file) as picture:
        assert picture.width > 800


@pytest.mark.slow
def test_prometheus_evaluates_every_query_of_the_dashboard(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.engine.stepped(0.1, 2)
    begin = time.time()
    with served(metrics) as target, prometheus(tmp_path, target, SECRET) as source:
        until = time.monotonic() + 30
        while len(_steps(source.series("palimpsest_step_seconds_sum", begin, time.time()))) < 3:
            assert time.monotonic() < until, "Prometheus reads nothing"
            metrics.engine.stepped(0.1, 2)
            time.sleep(0.5)
        found = {
            panel.title: [source.series(t.expression, begin, time.time()) for t in panel.targets]
            for panel in read_panels("15s")
        }
        with pytest.raises(ValueError, match="parse error"):
            source.series("sum(", begin, time.time())
    assert found["Seconds of a denoising step"][0][0].values[-1] == pytest.approx(0.1, rel=0.8)
    assert not any(found["Living replicas"])  # a registry without a server has none


def _steps(found: list[Series]) -> list[float]:
    return [float(value) for one in found for value in one.values]


@contextmanager
def served(metrics: Metrics) -> Generator[str]:
    """Serve `/metrics` to whoever has the secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.headers["authorization"] == f"Bearer {SECRET}"
            self.send_response(200 if is_known else 401)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(generate_latest(metrics.registry) if is_known else b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
