"""`palimpsest usage`: the limits of keys, and what they use."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import show
from cli.connection import connect
from cli.errors import CommandFailed
from cli.options import AsJson, ServerUrl

_TITLES = {
    "queued": "videos waiting or being made",
    "in_flight": "of these, worked on",
    "requests_per_minute": "changes in this minute",
    "stored_bytes": "bytes of videos",
    "encoders_per_day": "encoders today",
    "queued_encoders": "encoders waiting or being made",
}


def usage(
    owner: Annotated[
        str | None, typer.Option(metavar="ID", help="Id of another key (with an admin's key).")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every key (with an admin's key): one line each.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=400, help="Days to show.")] = 30,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the limits of a key, what it uses of them now, and what it used on each day."""
    if every and owner is not None:
        raise CommandFailed("Give --owner or --all, not both.")
    named: dict[str, str] = {} if owner is None else {"key": owner}
    with connect(server) as client:
        answer = client.get(f"/v1/usage{'/keys' if every else ''}", days=days, **named)
    if as_json:
        show.result(answer)
    elif every:
        _print_all(answer["data"], days)
    else:
        _print_one(answer)


def _print_one(found: dict[str, Any]) -> None:
    rows = show.plain_table(f"key {found['id']}", "limit", "used", "of")
    for name, title in _TITLES.items():
        limit = found["limits"][name]
        rows.add_row(
            title, name, str(found["used"][name]), "no limit" if limit is None else str(limit)
        )
    show.table(rows)
    if not found["days"]:
        return
    show.line("")
    by_day = show.plain_table("day (UTC)", "changes", "videos", "encoders", "device seconds")
    for day in found["days"]:
        by_day.add_row(
            day["day"],
            str(day["requests"]),
            str(day["videos"]),
            str(day["encoders"]),
            f"{day['device_seconds']:.1f}",
        )
    show.table(by_day)


def _print_all(keys: list[dict[str, Any]], days: int) -> None:
    show.line(f"Now, and in the last {days} days:")
    rows = show.plain_table("key", "queued", "bytes", "videos", "encoders", "device seconds")
    for found in keys:
        sums = {
            name: sum(day[name] for day in found["days"])
            for name in ("videos", "encoders", "device_seconds")
        }
        rows.add_row(
            found["id"],
            str(found["used"]["queued"]),
            str(found["used"]["stored_bytes"]),
            str(sums["videos"]),
            str(sums["encoders"]),
            f"{sums['device_seconds']:.1f}",
        )
    show.table(rows)
