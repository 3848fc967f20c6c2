"""Chunks of a long measurement, two at a time; each is kept, so that a run that stopped goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.progress import track

WATERMARK = Path(__file__).parents[2] / "marking" / "watermark"
_MEASURING = ("alterations", "averaging", "clips", "marked", "unmarked")

Rows = list[dict[str, Any]]
Chunk = Callable[[int, int], Rows]
"""First and count → a row for each clip, as JSON. A function of a module: processes import it."""


def measured(name: str, chunk: Chunk, count: int, size: int, work: Path) -> Rows:
    """Return the rows of `count` clips in order, measured in chunks of `size`.

    Chunks that `work` holds already are read, if they were measured by the same code.
    """
    folder = work / f"{name}-{_code_digest()}"
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, count, size)
    paths = [folder / f"{start}-{min(size, count - start)}.json" for start in starts]
    missing = [
        (path, start) for path, start in zip(paths, starts, strict=True) if not path.exists()
    ]
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        running = {
            pool.submit(chunk, start, min(size, count - start)): path for path, start in missing
        }
        for done in track(as_completed(running), description=name, total=len(running)):
            _keep(running[done], done.result())
    return [row for path in paths for row in json.loads(path.read_text())]


def column(rows: Sequence[dict[str, Any]], *keys: str) -> list[Any]:
    """Return one value of each row, by its path of keys."""
    values: list[Any] = []
    for row in rows:
        value: Any = row
        for key in keys:
            value = value[key]
        values.append(value)
    return values


def _keep(path: Path, rows: Rows) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(rows))
    draft.replace(path)


def _code_digest() -> str:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in [*sorted(WATERMARK.glob("*.py")), *(here / f"{name}.py" for name in _MEASURING)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
