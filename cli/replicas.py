"""`palimpsest replicas`: the servers on one database."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import show
from cli.client import api_path
from cli.connection import connect
from cli.options import AsJson, ServerUrl

app = typer.Typer(
    no_args_is_help=True,
    help="Look at the servers that share a database, and tell one to take no more jobs.",
)

ReplicaId = Annotated[str, typer.Argument(metavar="REPLICA", help="The server's id, as listed.")]


@app.command("list")
def list_replicas(server: ServerUrl = None, as_json: AsJson = False) -> None:
    """List the servers, with what each works on (with an admin's key)."""
    with connect(server) as client:
        found = client.get("/v1/admin/replicas")["data"]
    if as_json:
        show.result(found)
        return
    rows = show.plain_table("server", "role", "state", "at", "videos", "encoders")
    for one in found:
        state = "dead" if not one["alive"] else "draining" if one["draining"] else "alive"
        rows.add_row(
            one["id"],
            one["role"],
            f"{state}, leads" if one["leads"] else state,
            one["url"] or one["host"],
            str(len(one["videos"])),
            ", ".join(one["encoders"]),
        )
    show.table(rows)


@app.command("drain")
def drain_replica(replica: ReplicaId, server: ServerUrl = None, as_json: AsJson = False) -> None:
    """Tell a server to take no more jobs, and to end or hand back those that it has.

    It goes on answering reads until it is stopped. Any server can be asked, with an admin's key.
    """
    with connect(server) as client:
        answer = client.post(api_path("admin", "replicas", replica, "drain"), {})
    if as_json:
        show.result(answer)
        return
    left = f"{len(answer['videos'])} videos and {len(answer['encoders'])} encoders"
    show.line(f"{replica} takes no more jobs; it had {left}.")
