"""A worker must not outlive the process that started it: it would go on holding the port.

BentoML's parent stops its workers when it is asked to stop; when it is killed, nobody does.
"""

from __future__ import annotations

import os
import threading

_PARENT = "PALIMPSEST_PARENT_PID"
_LOOK_EVERY_SECONDS = 0.2


def announce_parent() -> None:
    """In the parent, before it starts workers: they inherit its process id in their environment."""
    os.environ[_PARENT] = str(os.getpid())


def die_with_parent() -> None:
    """In a worker: end this process, at once, when its parent has gone. No parent, no watch.

    The id comes from the parent itself, so that one which died before this call is noticed too.
    What was accepted is on disk already and goes on at the next start.
    """
    parent = int(os.environ.get(_PARENT, "0"))
    if parent in (0, os.getpid()):
        return

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(_LOOK_EVERY_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="palimpsest-parent", daemon=True).start()
