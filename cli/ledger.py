"""`palimpsest ledger`: export the ledger, check an export, ask since when a key's clips forget."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import files, show
from cli.client import Client
from cli.connection import connect
from cli.errors import CommandFailed
from cli.options import AsJson, ServerUrl
from cli.verify import read_certificates

app = typer.Typer(
    no_args_is_help=True,
    help="Which clip was made with which encoder, for which key: export it, and check it offline.",
)

_PAGE = 1000


def _seconds(text: str) -> int:
    """Return the Unix seconds of a date, a time in ISO 8601, or seconds themselves."""
    if text.isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time: give a date such as 2026-11-29, 2026-11-29T12:00:00Z, or Unix "
            "seconds. A time without a zone is in UTC."
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


@app.command("export")
def export_ledger(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes: JSON.")],
    since: Annotated[
        int | None,
        typer.Option(parser=_seconds, metavar="TIME", help="Show no clip that is older."),
    ] = None,
    until: Annotated[
        int | None,
        typer.Option(parser=_seconds, metavar="TIME", help="Show no clip that is newer."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Show clips of this encoder only, alone or in sets."),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="ID", help="Show clips of this key only.")
    ] = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Export the ledger, signed by the server (with an admin's key).

    What the options leave out is in the file as hashes, so that it still shows that nothing is
    missing.
    """
    from marking.ledger import LedgerExport, LedgerPage

    files.check_free(file)
    asked = {"since": since, "until": until, "encoder": encoder, "key": owner}
    query = {name: value for name, value in asked.items() if value is not None}
    with connect(server) as client:
        pages = [LedgerPage.model_validate(page) for page in _pages(client, query)]
    files.create(file, LedgerExport(pages=pages).model_dump_json().encode())
    shown = sum(item.object == "ledger.entry" for page in pages for item in page.entries)
    if as_json:
        show.result({"file": str(file), "entries": shown, "last": pages[-1].last_sequence})
    else:
        show.line(
            f"{file}: {shown} entries of the ledger, which ends with entry "
            f"{pages[-1].last_sequence}. `palimpsest ledger verify {file}` checks it."
        )


def _pages(client: Client, query: dict[str, str | int]) -> list[dict[str, Any]]:
    pages = [client.get("/v1/ledger", limit=_PAGE, **query)]
    while pages[-1]["has_more"]:
        after = pages[-1]["last_sequence"]
        pages.append(client.get("/v1/ledger", limit=_PAGE, after=after, **query))
    return pages


@app.command("verify")
def verify_ledger(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export.")],
    certificates: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Certificates of the servers you trust, as `palimpsest signing certificates` "
            "prints them. Left out: the one in the export, which anybody can put there.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an export, offline: that nothing in it is changed, missing or in the wrong place."""
    from marking.ledger_check import check_export, read_export

    trusted = [] if certificates is None else read_certificates(certificates)
    verdict = check_export(read_export(file.read_bytes()), trusted)
    if as_json:
        faults = [
            {"kind": one.kind, "first": one.first, "last": one.last, "text": one.text}
            for one in verdict.faults
        ]
        show.result(
            {
                "holds": verdict.holds,
                "says": verdict.sentence,
                "faults": faults,
                "entries": verdict.entries,
                "first": verdict.first,
                "last": verdict.last,
                "exported_at": verdict.exported_at,
                "signed_with": list(verdict.key_ids),
            }
        )
        if not verdict.holds:
            raise typer.Exit(1)
    elif not verdict.holds:
        raise CommandFailed(verdict.sentence)
    else:
        show.line(verdict.sentence)
        if not trusted:
            show.note(
                "Anybody could have signed it: compare the key's id with the server's, or give "
                "--certificates."
            )


@app.command("since")
def since_when(
    owner: Annotated[str, typer.Option(metavar="ID", help="The key.")],
    concept: Annotated[str, typer.Option(metavar="NAME", help="The concept's name.")],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="The concept's kind. Left out: any.")
    ] = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say since when every clip of a key was made with an encoder that forgets a concept."""
    named = {} if kind is None else {"kind": kind}
    with connect(server) as client:
        found = client.get("/v1/ledger/forgetting", key=owner, concept=concept, **named)
    if as_json:
        show.result(found)
        return
    without = found["last_without"]
    if found["since"] is None:
        show.line(
            f"The last clip of {owner} was made without an encoder that forgets {concept}: "
            f"{_clip(without)}."
        )
        return
    show.line(
        f"Since {_time(found['since'])} every clip of {owner} was made with an encoder that "
        f"forgets {concept}: {found['clips']} clips, from {_clip(found['first'])} on."
    )
    show.line(
        f"The last one without: {_clip(without)}."
        if without
        else f"The ledger has none without; it begins on {_time(found['ledger_since'])}."
    )


def _clip(clip: dict[str, Any]) -> str:
    encoder = clip["encoder"] or "the base"
    return (
        f"entry {clip['sequence']}, {clip['video_id']}, with {encoder}, "
        f"on {_time(clip['completed_at'])}"
    )


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
