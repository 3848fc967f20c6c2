"""`palimpsest encoders compose`: put published encoders together, and have the set judged."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import show
from cli.connection import connect
from cli.errors import CommandFailed
from cli.jobs import run_job
from cli.options import AsJson, ServerUrl
from encoders import check_id


def compose_encoders(
    composite_id: Annotated[str, typer.Argument(metavar="ID", help="The set's id.")],
    members: Annotated[
        list[str], typer.Argument(metavar="MEMBER...", help="Ids or aliases: two or more.")
    ],
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a composite: a set of published encoders, judged as a whole. Nothing is trained.

    It is published only if it passes; else the exit status is 1. Ctrl-C cancels it on the server.
    """
    body = {"id": check_id(composite_id), "compose": members}
    with connect(server) as client:
        encoder = run_job(client, "encoders", body, f"A set of {len(members)} encoders")
    if as_json:
        show.result(encoder)
    elif encoder["status"] == "published":
        show.line(f"{encoder['id']} is published. It forgets {show.forgets(encoder)}.")
    if not as_json and (measures := show.measures_table(encoder)) is not None:
        show.table(measures)
    if encoder["status"] == "failed":
        raise CommandFailed(f"{encoder['id']} failed: {encoder['error']['message']}")
