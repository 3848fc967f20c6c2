"""The outcome of a job that made an encoder, as a command shows it."""

from __future__ import annotations

from typing import Any

from cli import show
from cli.errors import CommandFailed


def show_made(encoder: dict[str, Any], *, as_json: bool) -> None:
    """Show an encoder that was published or not, and its measures.

    Raises:
        CommandFailed: It could not be made, or did not pass its gate.
    """
    if as_json:
        show.result(encoder)
    elif encoder["status"] == "published":
        show.line(f"{encoder['id']} is published. It forgets {show.forgets(encoder)}.")
    if not as_json and (measures := show.measures_table(encoder)) is not None:
        show.table(measures)
    if encoder["status"] == "failed":
        raise CommandFailed(f"{encoder['id']} failed: {encoder['error']['message']}")
