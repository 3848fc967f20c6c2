"""Inspection in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence

from marking.apart import limited, run_apart
from marking.inspection import Inspection, inspect


def inspect_apart(data: bytes, trusted: Sequence[str] = ()) -> Inspection:
    """Return `marking.inspection.inspect` of a file, made by a process of its own with limits.

    Raises:
        MarkInvalid: Reading the file took too long or too much memory, or killed the process.
    """
    return Inspection.model_validate_json(run_apart(__name__, data, trusted=list(trusted)))


def main() -> None:
    """Inspect the file on standard input."""

    def work(data: bytes, trusted: Sequence[str]) -> str:
        return inspect(data, trusted).model_dump_json()

    limited(work)
