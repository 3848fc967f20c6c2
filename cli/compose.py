"""`palimpsest encoders compose`: put published encoders together, and have the set judged."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.connection import connect
from cli.jobs import run_job
from cli.made import show_made
from cli.options import AsJson, GateTier, ServerUrl
from encoders import check_id


def compose_encoders(
    composite_id: Annotated[str, typer.Argument(metavar="ID", help="The set's id.")],
    members: Annotated[
        list[str], typer.Argument(metavar="MEMBER...", help="Ids or aliases: two or more.")
    ],
    tier: GateTier = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a composite: a set of published encoders, judged as a whole. Nothing is trained.

    It is published only if it passes; else the exit status is 1. Ctrl-C cancels it on the server.
    """
    body: dict[str, Any] = {"id": check_id(composite_id), "compose": members}
    if tier is not None:
        body["gate"] = {"tier": tier}
    with connect(server) as client:
        encoder = run_job(client, "encoders", body, f"A set of {len(members)} encoders")
    show_made(encoder, as_json=as_json)
