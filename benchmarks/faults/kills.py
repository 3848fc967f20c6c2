"""H1: a kill at a random moment loses no accepted job, and fails none."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from pathlib import Path
from shutil import which
from typing import Any

import psutil

from benchmarks.faults.ledger import WRONG, Ledger, Load
from benchmarks.faults.served import Served
from encoders.folder_marker import MARKER

_RARE = ("fsync", "rename", "renameat2", "link", "linkat", "unlink", "ftruncate", "mkdir")
_OFTEN = ("pwrite64", "fdatasync", "write")
"""System calls at which the worker is killed: those that make a change durable or visible."""
_ATTACHED_S = 12.0
DRAIN_S = 900.0


def kills(work: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Kill the server `count` times under load, start it again each time, and count what is lost.

    A third of the kills hit the parent, a third the worker, at a random time; a third hit the
    worker inside a system call, the n-th one of a random kind after a random time (by `strace`).
    """
    home = work / "kills"
    home.mkdir(parents=True, exist_ok=True)
    server = Served(home / "data", home)
    ledger = Ledger(server.url)
    load = Load(ledger)
    random_ = random.Random(seed)
    done: Counter[str] = Counter()
    server.start()
    server.wait_ready()
    load.start()
    try:
        while done.total() < count:
            # From the moment that it answers, or while it is still loading.
            if random_.random() < 0.8:
                server.wait_ready()
            time.sleep(random_.uniform(0, 8))
            kind = ("parent", "worker", "call")[done.total() % 3]
            done[_kill(server, kind, random_)] += 1
        load.stop()
        server.wait_ready()
        drained = ledger.wait_ended(DRAIN_S)
        outcome = ledger.outcome()
        leftovers = _leftovers(home / "data")
    finally:
        load.stop()
        server.stop()
    wrong = {name: value for name, value in outcome.items() if name in WRONG and value}
    return {
        "kills": dict(done),
        **outcome,
        "seconds to end the rest": round(drained),
        "left over in the data directory": leftovers,
        "H1: nothing lost, failed or doubled": not wrong and not leftovers,
    }


def _kill(server: Served, kind: str, random_: random.Random) -> str:
    """Kill once, and have the server started again; return which kind of kill it was."""
    worker = server.worker()
    if kind == "parent" or worker is None:
        server.kill_parent()
        server.start()
        return "parent"
    if kind == "call" and which("strace") is not None:
        # A thread's calls are counted: high numbers of rare calls are never reached.
        often = random_.random() < 0.5
        calls = random_.choice(_OFTEN) if often else ",".join(_RARE)
        number = random_.randint(1, 30 if often else 3)
        traced = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={number}"]
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(worker.pid), *traced],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            worker.wait(_ATTACHED_S)
            return f"worker in {calls if often else 'a rare call'}"
        except psutil.TimeoutExpired:  # it was not made so often
            kind = "worker"
        finally:
            tracer.kill()
            tracer.wait()
    worker.kill()
    worker.wait()
    return kind


def _leftovers(data: Path) -> list[str]:
    """Return files that no job and no encoder needs."""
    found = [
        path.relative_to(data).as_posix()
        for path in data.rglob("*")
        if "#" in path.name or path.name.startswith(".tmp")
    ]
    for folder in ("making", "drafts", "videos/.unfinished"):
        files = [p for p in (data / folder).glob("*") if p.is_file() and p.name != MARKER]
        found += [path.relative_to(data).as_posix() for path in files]
    return found
