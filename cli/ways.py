"""`palimpsest encoders ways`: phrases that draw a concept without naming it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import show
from cli.client import api_path
from cli.connection import connect
from cli.options import AsJson, ServerUrl
from encoders import Kind


def find_ways(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="The concept, by its name.")],
    kind: Annotated[Kind, typer.Option(help="What sort of thing it is.")],
    synonym: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Another phrase for it, already known. Repeatable."),
    ] = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Look for phrases that draw a concept without naming it, before an encoder is made.

    The base draws them and the judge looks. `palimpsest unlearn` looks for them by itself. Ctrl-C
    ends the search.
    """
    body = {"concept": concept, "kind": kind, "synonyms": synonym or []}
    with connect(server) as client:
        found = client.post(api_path("encoders", "ways"), body, waits=True)
    if as_json:
        show.result(found)
        return
    if not found["ways"]:
        show.line(f"Nothing else was found that draws {concept}, in {found['pictures']} pictures.")
    else:
        table = show.plain_table("phrase", "drawn", "of", "forgotten with it")
        for way in found["ways"]:
            fate = "yes" if way["forgotten"] else f"no: {way['reason']}"
            table.add_row(way["phrase"], f"{100 * way['rate']:.0f} %", str(way["n"]), fate)
        show.table(table)
    if not found["complete"]:
        show.line("The time was up before the search was done.")
