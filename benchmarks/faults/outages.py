"""H5: an outage of 30 s fails no job, and needs no restart."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.faults.ledger import WRONG, Ledger, Load
from benchmarks.faults.served import Served, call, served

DRAIN_S = 600.0
DISK_MIB = 40


def outages(work: Path, seconds: float) -> dict[str, Any]:
    """Take something away for `seconds` under load, give it back, and count what failed."""
    found: dict[str, Any] = {}
    for name, outage in OUTAGES.items():
        found[name] = _one(work / "outages" / name.replace(" ", "-"), outage, seconds)
    holds = all(each["holds"] for each in found.values())
    return {**found, f"H5: an outage of {seconds:.0f} s fails no job": holds}


Outage = Callable[[Served, Path, float], None]


def _one(home: Path, outage: Outage, seconds: float) -> dict[str, Any]:
    home.mkdir(parents=True, exist_ok=True)
    with _disk(home / "disk") as data, served(data, home) as server:
        ledger = Ledger(server.url)
        load = Load(ledger)
        load.start()
        while ledger.pending() < 4:
            time.sleep(0.1)
        worker = server.worker()
        outage(server, data, seconds)
        time.sleep(5)
        load.stop()
        drained = ledger.wait_ended(DRAIN_S)
        outcome = ledger.outcome()
        after = call(server.url, "POST", "/v1/videos/sync", {"prompt": "pogo", "steps": 1})
        same = worker is not None and server.worker() == worker
    holds = (
        same
        and after.status_code == 200
        and outcome["accepted"] > 0
        and not any(outcome[name] for name in WRONG)
    )
    return {
        **outcome,
        "seconds to end the rest": round(drained),
        "the same process answers": same,
        "holds": holds,
    }


@contextmanager
def _disk(folder: Path) -> Generator[Path]:
    """Mount a small disk of its own, if this user may; else yield an ordinary folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield folder / "data"
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _full(server: Served, data: Path, seconds: float) -> None:
    """Fill the disk; keep it full whatever is removed meanwhile."""
    if not os.path.ismount(data.parent):
        raise RuntimeError("the disk can be filled only by a user that may mount one")
    fillers: list[Path] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        fillers.append(data.parent / f"filler-{len(fillers)}")
        with fillers[-1].open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"\0" * 65536)
            except OSError:
                pass
        time.sleep(0.5)
    for filler in fillers:
        filler.unlink()


def _locked(database: str) -> Outage:
    def outage(server: Served, data: Path, seconds: float) -> None:
        connection = sqlite3.connect(data / database, timeout=60, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()

    return outage


def _no_descriptors(server: Served, data: Path, seconds: float) -> None:
    """Lower the worker's limit below what it has open, so that it can open nothing more."""
    worker = server.worker()
    if worker is None:
        raise RuntimeError("the server has no worker")
    usual = os.sysconf("SC_OPEN_MAX")
    for limit, pause in ((16, seconds), (usual, 0.0)):
        subprocess.run(["prlimit", f"--pid={worker.pid}", f"--nofile={limit}:{usual}"], check=True)
        time.sleep(pause)


OUTAGES: Mapping[str, Outage] = {
    "disk full": _full,
    "records locked": _locked("records.sqlite"),
    "jobs locked": _locked("jobs.sqlite"),
    "no descriptors": _no_descriptors,
}
