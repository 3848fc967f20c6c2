"""Inspection in a process of its own: files of strangers are parsed where they can break nothing.

The child gets a line of JSON and then the file on its standard input, limits itself, and prints the
inspection as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence

from marking.errors import MarkInvalid
from marking.inspection import Inspection, inspect

CPU_SECONDS = 20
SECONDS = 30.0
MEMORY_BYTES = 2 << 30
"""Address space of the child, the C2PA library's own included."""


def inspect_apart(data: bytes, trusted: Sequence[str] = ()) -> Inspection:
    """Return `marking.inspection.inspect` of a file, made by a process of its own with limits.

    Raises:
        MarkInvalid: Reading the file took too long or too much memory, or killed the process.
    """
    head = json.dumps({"trusted": list(trusted)}).encode() + b"\n"
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            input=head + data,
            capture_output=True,
            timeout=SECONDS,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise MarkInvalid(
            "The file could not be read within the limits of time and memory."
        ) from error
    return Inspection.model_validate_json(done.stdout)


def main() -> None:
    """Inspect the file on standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    head = json.loads(sys.stdin.buffer.readline())
    found = inspect(sys.stdin.buffer.read(), head["trusted"])
    sys.stdout.write(found.model_dump_json())
