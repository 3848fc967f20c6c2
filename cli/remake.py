"""`palimpsest encoders remake`: make encoders again for the server's base."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import show
from cli.connection import connect
from cli.errors import CommandFailed
from cli.options import AsJson, ServerUrl
from cli.remaking import Remade, Remaking


def remake_encoders(
    every: Annotated[
        bool, typer.Option("--all", help="All encoders that were made for another base.")
    ] = False,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make every encoder of another base again for the server's, from its card, and judge it.

    The old ones stay. A new one is published if it passes the gate that the old one passed, as
    `<id>.remade-2`; aliases then point to it. Ctrl-C stops the command and not the encoder that is
    being made; started again, it goes on. If one is not made, the exit status is 1.
    """
    if not every:
        raise typer.BadParameter("say which: --all.", param_hint="--all")
    outcomes: list[Remade] = []
    with connect(server) as client:
        for outcome in Remaking(client).run():
            outcomes.append(outcome)
            if not as_json:
                show.line(_said(outcome))
    missing = [outcome for outcome in outcomes if outcome.now is None]
    if as_json:
        show.result([outcome.to_json() for outcome in outcomes])
    elif not outcomes:
        show.line("Every encoder is of this server's base.")
    elif len(missing) < len(outcomes):
        show.line(
            "Aliases point to the new encoders. Keys and requests that name an old id, and not an "
            "alias, have to name the new one."
        )
    if missing:
        raise CommandFailed(
            f"{len(missing)} of {len(outcomes)} are not made; the old ones are as they were."
        )


def _said(outcome: Remade) -> str:
    if outcome.now is None:
        return f"{outcome.id} is not made again. {outcome.why}"
    aliases = f", and of {', '.join(outcome.aliases)}" if outcome.aliases else ""
    return f"{outcome.now} is published in the place of {outcome.id}{aliases}."
