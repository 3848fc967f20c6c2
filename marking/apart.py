"""Work on files of strangers, in a process of its own with limits, where it can break nothing.

The child gets a line of JSON and then the file on its standard input, and prints JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from marking.errors import MarkInvalid

CPU_SECONDS = 6
SECONDS = 20.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
MEMORY_BYTES = 3 << 30
"""Address space of the child, its libraries' own included."""


def run_apart(module: str, data: bytes, **arguments: Any) -> bytes:
    """Return what the `main` of a module prints when it is run as a process of its own.

    Args:
        module: Full name of the module, whose `main` begins with `limited`.
        data: The file.
        arguments: JSON values for it.

    Raises:
        MarkInvalid: It took too long or too much memory, or was killed by what it read.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"from {module} import main; main()"],
            input=json.dumps(arguments).encode() + b"\n" + data,
            capture_output=True,
            timeout=SECONDS,
            check=True,
            env=_environment(),
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise MarkInvalid(
            "The file could not be read within the limits of time and memory."
        ) from error
    return done.stdout


def _environment() -> dict[str, str]:
    """Return what the child needs of the environment, which may hold credentials."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def limited(work: Callable[..., str]) -> None:
    """Limit this process, and print the result of `work(data, **arguments)` on standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    arguments = json.loads(sys.stdin.buffer.readline())
    sys.stdout.write(work(sys.stdin.buffer.read(), **arguments))
