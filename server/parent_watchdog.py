"""Watchdog that ends a worker when its parent process has gone.

BentoML's parent stops its workers when it is asked to stop. If the parent is killed, its workers
would live on and keep the port.
"""

from __future__ import annotations

import os
import threading

_PARENT = "PALIMPSEST_PARENT_PID"
_URL = "PALIMPSEST_PARENT_URL"
_INTERVAL_S = 0.2


def announce_parent(url: str | None = None) -> None:
    """Put this process's id into the environment, for the workers that it starts.

    Args:
        url: The address that the workers will serve, if it is known.
    """
    os.environ[_PARENT] = str(os.getpid())
    os.environ.pop(_URL, None)
    if url is not None:
        os.environ[_URL] = url


def announced_parent() -> int | None:
    """Return the process id of this worker's parent; None if there is none."""
    parent = int(os.environ.get(_PARENT, "0"))
    return parent if parent not in (0, os.getpid()) else None


def announced_url() -> str | None:
    """Return the address that this worker serves, as its parent announced it."""
    return os.environ.get(_URL)


def die_with_parent() -> None:
    """End this worker at once when its parent has gone. Without an announced parent, do nothing.

    The id comes from the parent, not from `getppid`, so that a parent which ended before this call
    is noticed too. Accepted jobs are on disk, and continue at the next start.
    """
    parent = announced_parent()
    if parent is None:
        return

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, name="palimpsest-parent", daemon=True).start()
