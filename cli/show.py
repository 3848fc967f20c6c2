"""What a command prints: its result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, TextIO

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Row = tuple[str, str, str, str, str]

_WIDTH_OF_A_FILE = 1000
"""Columns where there is no terminal: what reads it wants a row in a line."""


def result(value: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def line(text: str) -> None:
    """Print a line on stdout."""
    _console(sys.stdout).print(text, soft_wrap=True)


def table(rows: Table) -> None:
    """Print a table on stdout."""
    console = _console(sys.stdout)
    with console.capture() as drawn:
        console.print(rows)
    sys.stdout.write("".join(f"{row.rstrip()}\n" for row in drawn.get().splitlines()))


def note(text: str) -> None:
    """Print a line on stderr that the user should know of."""
    _console(sys.stderr).print(text, style="dim", soft_wrap=True)


def error(text: str) -> None:
    """Print what went wrong: one red line on stderr."""
    _console(sys.stderr).print(" ".join(text.split()), style="red", soft_wrap=True)


def confirmed(question: str) -> bool:
    """Whether the user says yes. Typer's own question would leave a space on stdout."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def waiting(text: str) -> AbstractContextManager[Any]:
    """A spinner on stderr while this lasts, if that is a terminal."""
    return _console(sys.stderr).status(text) if sys.stderr.isatty() else nullcontext()


def progress() -> Progress:
    """A bar with a phase beside it on stderr, if that is a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[phase]}"),
        TimeElapsedColumn(),
        console=_console(sys.stderr),
        disable=not sys.stderr.isatty(),
    )


def plain_table(*columns: str) -> Table:
    """An empty table in the one style."""
    return Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def facts(pairs: dict[str, str]) -> Table:
    """A table of names and what they are."""
    found = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in pairs.items():
        found.add_row(name, text)
    return found


def when(seconds: int | None) -> str:
    """A moment, in the local time zone."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def forgets(encoder: dict[str, Any]) -> str:
    """An encoder's concepts with their kinds."""
    return ", ".join(f"{concept['name']} ({concept['kind']})" for concept in encoder["concepts"])


def percent(rate: float) -> str:
    """98.6 %; 100 %."""
    return f"{round(100 * rate, 1):g} %"


def rate(seen: dict[str, Any], name: str) -> str:
    """A rate among an encoder's measures; nothing if there is none, a dash if it is one of none."""
    if f"{name}_rate" not in seen:
        return ""
    return percent(seen[f"{name}_rate"]) if seen[f"{name}_n"] else "–"


def measures(encoder: dict[str, Any]) -> Table | None:
    """What the judge saw of an encoder, and what it had to reach; None if it was not judged."""
    seen, gate = encoder["measures"], encoder["gate"]
    if "concepts" not in seen:
        return None
    found = plain_table("", "rate", "95 % interval", "clips", "needed")
    for row in _rows(seen, gate):
        found.add_row(*row)
    return found


def _rows(seen: dict[str, Any], gate: dict[str, Any]) -> Generator[Row]:
    def needed(sign: str, name: str) -> str:
        return f"{sign} {percent(gate[name])}" if name in gate else ""

    def row(what: str, share: float, bounds: list[float] | None, n: int, than: str = "") -> Row:
        if n == 0:
            return what, "–", "", "0", than
        interval = f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f} %" if bounds else ""
        return what, percent(share), interval, str(n), than

    for name, of in seen["concepts"].items():
        base = needed("≥", "min_base_rate")
        yield row(f"{name}: shown by the base", of["base_rate"], None, of["base_n"], base)
        gone = needed("≥", "min_forget_rate")
        yield row(f"{name}: gone", of["forget_rate"], of["interval"], of["n"], gone)
    for what, name in (("shown by the base", "base_retain"), ("shown", "retain")):
        share, interval, n = (seen[f"{name}_{part}"] for part in ("rate", "interval", "n"))
        yield row(f"other concepts: {what}", share, interval, n)
    lost = needed("≤", "max_retain_drop")
    yield row("other concepts: lost", seen["retain_drop"], None, seen["retain_n"], lost)


def _console(stream: TextIO) -> Console:
    # What is printed has come from elsewhere: brackets and colons in it are no markup.
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _WIDTH_OF_A_FILE,
    )
