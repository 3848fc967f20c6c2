"""Output of a command: its result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, TextIO

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

_LEAST_WIDTH = 16
"""Columns that a wrapped text has at least."""
Row = tuple[str, str, str, str, str]

_FILE_WIDTH = 1000
"""Columns where there is no terminal, so that each row of a table is one line."""


def result(value: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def line(text: str) -> None:
    """Print a line on stdout."""
    _console(sys.stdout).print(text, soft_wrap=True)


def table(rows: Table) -> None:
    """Print a table on stdout.

    No word is ever cut or broken, since it may be an id that has to be copied. On a narrow terminal
    the widest column of texts is wrapped; if that is not enough, each row is printed as lines of
    names and values.
    """
    console = _console(sys.stdout)
    if not _fit(console, rows):
        _print_rows(console, rows)
        return
    with console.capture() as drawn:
        console.print(rows)
    sys.stdout.write("".join(f"{row.rstrip()}\n" for row in drawn.get().splitlines()))


def _fit(console: Console, rows: Table) -> bool:
    """Make a table fit the terminal by wrapping one column. Return False if it cannot."""
    roomy = console.options.update(max_width=10_000)
    excess = Measurement.get(console, roomy, rows).maximum - console.width
    if excess <= 0:
        return True

    def lengths(column: Column, separator: str | None) -> list[int]:
        cells = [str(cell) for cell in (column.header, *column.cells)]
        return [cell_len(part) for cell in cells for part in cell.split(separator)] or [0]

    widest = max(rows.columns, key=lambda column: max(lengths(column, "\n")))
    width = max(lengths(widest, "\n")) - excess
    if width < max(_LEAST_WIDTH, *lengths(widest, None)):
        return False
    widest.width = width
    return True


def _print_rows(console: Console, rows: Table) -> None:
    names = [str(column.header) for column in rows.columns]
    for number, cells in enumerate(zip(*(column.cells for column in rows.columns), strict=True)):
        if rows.show_header and number:
            console.print()
        if not rows.show_header:
            names, cells = [str(cells[0])], cells[1:]
        for name, cell in zip(names, map(str, cells), strict=True):
            if cell:
                label = f"{name}: " if name else ""
                console.print(label + ", ".join(cell.splitlines()), soft_wrap=True)


def note(text: str) -> None:
    """Print a notice on stderr."""
    _console(sys.stderr).print(text, style="dim", soft_wrap=True)


def aside(text: str) -> None:
    """Print a notice on stderr, if that is a terminal: for whoever waits before it."""
    if sys.stderr.isatty():
        note(text)


def error(text: str) -> None:
    """Print an error: one red line on stderr."""
    _console(sys.stderr).print(" ".join(text.split()), style="red", soft_wrap=True)


def confirm(question: str) -> bool:
    """Ask the user, and return True for yes. Typer's own question would print to stdout."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def spinner(text: str) -> AbstractContextManager[Any]:
    """Return a context that shows a spinner on stderr, if that is a terminal."""
    return _console(sys.stderr).status(text) if sys.stderr.isatty() else nullcontext()


def progress() -> Progress:
    """Return a progress bar with a phase beside it on stderr, if that is a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[phase]}"),
        TimeElapsedColumn(),
        console=_console(sys.stderr),
        disable=not sys.stderr.isatty(),
    )


def plain_table(*columns: str) -> Table:
    """Return an empty table in the style of all commands."""
    return Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def facts_table(pairs: dict[str, str]) -> Table:
    """Return a table of names and values, without a header."""
    found = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in pairs.items():
        found.add_row(name, text)
    return found


def local_time(seconds: int | None) -> str:
    """Format a Unix time in the local time zone."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def duration(seconds: int) -> str:
    """Format a time that is an estimate: `40 seconds`, `3 minutes`, `2 hours`."""
    if seconds < 90:
        return f"{seconds} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{round(seconds / 3600)} hours"


def forgets(encoder: dict[str, Any]) -> str:
    """Format an encoder's concepts with their kinds."""
    return ", ".join(f"{concept['name']} ({concept['kind']})" for concept in encoder["concepts"])


def percent(share: float) -> str:
    """Format a share of 1: `98.6 %`, `100 %`."""
    return f"{round(100 * share, 1):g} %"


def rate(measures: dict[str, Any], name: str) -> str:
    """Format one of an encoder's rates: empty if it was not measured, a dash if of nothing."""
    if f"{name}_rate" not in measures:
        return ""
    return percent(measures[f"{name}_rate"]) if measures[f"{name}_n"] else "–"


def measures_table(encoder: dict[str, Any]) -> Table | None:
    """Return a table of an encoder's measures and its gate; None if it was not judged."""
    measures, gate = encoder["measures"], encoder["gate"]
    if "concepts" not in measures:
        return None
    found = plain_table("", "rate", "95 % interval", "judged", "needed")
    for row in _rows(measures, gate):
        found.add_row(*row)
    return found


def _rows(measures: dict[str, Any], gate: dict[str, Any]) -> Generator[Row]:
    def needed(sign: str, name: str) -> str:
        return f"{sign} {percent(gate[name])}" if name in gate else ""

    def row(title: str, share: float, bounds: list[float] | None, n: int, bound: str = "") -> Row:
        if n == 0:
            return title, "–", "", "0", bound
        interval = f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f} %" if bounds else ""
        return title, percent(share), interval, str(n), bound

    for name, own in measures["concepts"].items():
        base = needed("≥", "min_base_rate")
        yield row(f"{name}: shown by the base", own["base_rate"], None, own["base_n"], base)
        gone = needed("≥", "min_forget_rate")
        yield row(f"{name}: gone", own["forget_rate"], own["interval"], own["n"], gone)
    for title, name in (("shown by the base", "base_retain"), ("shown", "retain")):
        share, interval, n = (measures[f"{name}_{part}"] for part in ("rate", "interval", "n"))
        yield row(f"other concepts: {title}", share, interval, n)
    lost = needed("≤", "max_retain_drop")
    interval = measures.get("lost_interval") if gate.get("by_interval") else None
    yield row("other concepts: lost", measures["retain_drop"], interval, measures["retain_n"], lost)
    near = measures.get("neighbours") or {}
    if near:
        name, own = max(near.items(), key=lambda item: (item[1]["lost_rate"], item[0]))
        bound = needed("≤", "max_neighbour_drop")
        yield row(f"worst near one, {name}", own["lost_rate"], own["interval"], own["n"], bound)
    for label, count in (measures.get("redirected_to") or {}).items():
        bound = needed("≤", "max_redirected_rate")
        yield row(f"drawn instead: {label}", count / measures["base_n"], None, count, bound)
    distance, most = measures.get("retain_distance"), gate.get("max_retain_distance")
    if distance is not None:
        bound = f"≤ {most:g}" if most is not None else ""
        yield "distance of others", f"{distance:.2f}", "", str(measures["retain_distance_n"]), bound


def _console(stream: TextIO) -> Console:
    # Printed text comes from users and servers: its brackets and colons are not markup.
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _FILE_WIDTH,
    )
