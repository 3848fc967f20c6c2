"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn.trial.tiers import TierName

SERVER_VARIABLE = "PALIMPSEST_SERVER"


def _checked_url(url: str | None) -> str | None:
    scheme, _, rest = (url or "http://localhost").partition("://")
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise typer.BadParameter(f"{url!r} is not an address such as http://127.0.0.1:3000.")
    return url


def given_path(text: str) -> Path:
    """Return the path that an option names; refuse an empty one, as of an unset variable."""
    if not text.strip():
        raise typer.BadParameter("It is empty: name a folder, or leave the option out.")
    return Path(text)


ServerUrl = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        envvar=SERVER_VARIABLE,
        callback=_checked_url,
        help="The server to ask. Left out: the one at the settings' host and port, or if none is "
        "there, one of its own for the length of the command.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on stdout.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        parser=given_path,
        metavar="DIRECTORY",
        help="The server's data directory. Left out: PALIMPSEST_DATA_DIR, or `data`.",
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The model whose text encoder is the base. Left out: PALIMPSEST_BACKBONE, or the "
        "built-in one.",
    ),
]
GateTier = Annotated[
    TierName | None,
    typer.Option(
        "--tier",
        help="How strictly it is judged: quick, standard or certified. Left out: the server's own.",
    ),
]
MinForgetRate = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="It must be gone from this share of what is judged."),
]
MaxRetainDrop = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="The share that shows others may fall by at most this."),
]
MinBaseRate = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="The base must show it in this share of what is judged."),
]
MaxProbes = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="The most that are judged of it."),
]
