"""A process of its own that asks a server as another key, while this one crowds it.

In one process the threads of the crowd would hold up the threads that measure.
"""

from __future__ import annotations

import http.client
import multiprocessing
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Thread
from time import perf_counter, sleep
from urllib.parse import urlsplit

import psutil

from benchmarks.faults.served import resident_mib

LIVE, OTHER = "/livez", "/v1/models"
_PAUSE_S = 0.1
_AFTER_S = 1.0
"""Time after the crowd: what it sent may still be read."""


@dataclass
class Watch:
    """Times and failures of others' requests while the server was crowded."""

    live_s: list[float] = field(default_factory=list[float])
    """Seconds of each `/livez`."""
    other_s: list[float] = field(default_factory=list[float])
    """Seconds of each request of another key."""
    failed: list[str] = field(default_factory=list[str])
    peak_mib: int = 0
    """Largest resident memory of the worker."""


@contextmanager
def watching(url: str, worker: int) -> Generator[Watch]:
    """Ask as the key `modest`, several times a second, while the block runs.

    Args:
        url: the server's address.
        worker: process id of the worker, whose memory is measured.

    Yields:
        What was seen; it is filled in when the block has ended.
    """
    watch = Watch()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_watch, args=(theirs, url, worker), daemon=True)
    process.start()
    theirs.close()
    ours.recv()  # it has begun
    try:
        yield watch
        sleep(_AFTER_S)
    finally:
        ours.send("over")
        seen: Watch = ours.recv()
        process.join()
    vars(watch).update(vars(seen))


def get(url: str, path: str) -> int:
    """Get a path on a new connection, as the key `modest`; return the status."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer secret-modest"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def _watch(parent: Connection, url: str, worker: int) -> None:
    watch, process, is_over = Watch(), psutil.Process(worker), list[bool]()

    def timed(path: str, seconds: list[float]) -> None:
        while not is_over:
            began = perf_counter()
            try:
                status = get(url, path)
                if status != 200:
                    watch.failed.append(f"{path}: {status}")
            except OSError as error:
                watch.failed.append(f"{path}: {error!r}")
            seconds.append(perf_counter() - began)
            watch.peak_mib = max(watch.peak_mib, resident_mib(process))
            sleep(_PAUSE_S)

    threads = [
        Thread(target=timed, args=(LIVE, watch.live_s)),
        Thread(target=timed, args=(OTHER, watch.other_s)),
    ]
    for thread in threads:
        thread.start()
    parent.send("begun")
    parent.recv()
    is_over.append(True)
    for thread in threads:
        thread.join()
    parent.send(watch)
