"""A Prometheus of its own, which reads one server every second and is asked for its series."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.servers import free_port, process, wait

SCRAPE_S = 1


class NoPrometheus(RuntimeError):
    """Error: the program is not installed."""


@dataclass(frozen=True)
class Series:
    """One series: its labels, Unix times and values, NaN where there is no number."""

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


class Prometheus:
    """A running Prometheus.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def series(self, expression: str, begin: float, end: float) -> list[Series]:
        """Return what an expression was from `begin` to `end`, in Unix seconds, each second.

        Raises:
            ValueError: Prometheus cannot evaluate it; the message says why.
        """
        span = {"start": str(begin), "end": str(end), "step": str(SCRAPE_S)}
        answer = httpx.get(
            f"{self._url}/api/v1/query_range", params={"query": expression, **span}, timeout=60
        ).json()
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        found: list[Series] = []
        for one in answer["data"]["result"]:
            points = np.array([[float(at), float(value)] for at, value in one["values"]])
            if np.isfinite(points[:, 1]).any():
                found.append(Series(one["metric"], points[:, 0], points[:, 1]))
        return found


@contextmanager
def prometheus(work: Path, target: str, secret: str) -> Generator[Prometheus]:
    """Start a Prometheus that reads `/metrics` of one server, and stop it when the block ends.

    Args:
        work: Folder of its data and log.
        target: Host and port of the server.
        secret: Secret of an admin's key.

    Raises:
        NoPrometheus: The program is not there.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise NoPrometheus("prometheus is not there: apt-get install prometheus")
    work.mkdir(parents=True, exist_ok=True)
    file, port = work / "prometheus.yaml", free_port()
    file.write_text(
        f"global: {{scrape_interval: {SCRAPE_S}s}}\n"
        "scrape_configs:\n"
        "  - job_name: palimpsest\n"
        f"    authorization: {{credentials: {secret}}}\n"
        f"    static_configs: [{{targets: ['{target}'], labels: {{namespace: bench}}}}]\n"
    )
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={work / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}"
    with process(command, {}, work / "prometheus.log"):
        wait(f"{url}/-/ready")
        yield Prometheus(url)
