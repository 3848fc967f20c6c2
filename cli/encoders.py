"""`palimpsest encoders`: list, show, name, delete, and the commands that have their own files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli import files, show
from cli.audit import audit_encoder
from cli.client import api_path
from cli.compose import compose_encoders
from cli.connection import connect
from cli.errors import CommandFailed
from cli.exchange import export_encoder, import_encoder
from cli.judge import judge_encoder
from cli.merge import merge_encoders
from cli.options import AsJson, ServerUrl
from cli.recall import recall_encoder
from cli.remake import remake_encoders
from cli.ways import find_ways
from encoders import check_id

app = typer.Typer(
    no_args_is_help=True,
    help="Look at encoders, name them, pass them on, delete them.",
)

EncoderId = Annotated[str, typer.Argument(metavar="ID", help="The encoder's id.")]


@app.command("list")
def list_encoders(server: ServerUrl = None, as_json: AsJson = False) -> None:
    """List the encoders that you may use, newest first, and what they forget."""
    with connect(server) as client:
        found = list(client.pages(api_path("encoders")))
        aliases = client.get(api_path("aliases"))["data"]
    for encoder in found:
        encoder["aliases"] = [alias["id"] for alias in aliases if alias["encoder"] == encoder["id"]]
    if as_json:
        show.result(found)
    elif not found:
        show.line("There are no encoders yet: `palimpsest unlearn` makes one.")
    else:
        show.table(_encoder_table(found))


@app.command("show")
def show_encoder(encoder_id: EncoderId, server: ServerUrl = None, as_json: AsJson = False) -> None:
    """Show what an encoder forgets, how it was made, and what was measured."""
    with connect(server) as client:
        encoder = client.get(api_path("encoders", check_id(encoder_id)))
    if as_json:
        show.result(encoder)
        return
    show.table(_facts_of(encoder))
    measures = show.measures_table(encoder)
    if measures is not None:
        show.line("")
        show.table(measures)
    elif encoder["status"] == "published":
        show.line(
            "It has not been judged: its forgetting has not been measured. "
            f"`palimpsest encoders judge {encoder_id}` does that."
        )


@app.command("delete")
def delete_encoder(
    encoder_id: EncoderId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even if sets list it; then every use of these sets fails."),
    ] = False,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Delete an encoder for good, or cancel one that is being made."""
    path = api_path("encoders", check_id(encoder_id))
    if not yes and not sys.stdin.isatty():
        raise CommandFailed(f"There is no terminal to ask: say --yes to delete {encoder_id}.")
    with connect(server) as client:
        client.get(path)
        if not (yes or show.confirm(f"Delete {encoder_id} for good?")):
            raise CommandFailed("Nothing is deleted.")
        answer = client.delete(path, **({"force": "true"} if force else {}))
    show.result(answer) if as_json else show.line(f"{encoder_id} is deleted.")


@app.command("alias")
def alias(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The alias.")],
    encoder_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The encoder it is to point to.")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the alias. The encoder stays.")
    ] = False,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias to an encoder, wherever it pointed before; or delete it."""
    if delete == (encoder_id is not None):
        raise typer.BadParameter("give the encoder's id, or --delete.", param_hint="ID")
    path = api_path("aliases", check_id(name, param="name"))
    with connect(server) as client:
        answer = client.delete(path) if delete else client.put(path, {"encoder": encoder_id})
    if as_json:
        show.result(answer)
    else:
        show.line(f"{name} is deleted." if delete else f"{name} points to {encoder_id}.")


@app.command("report")
def report(
    encoder_id: EncoderId,
    output: Annotated[
        Path,
        typer.Option(
            *("--output", "-o"),
            metavar="FILE",
            help="Where it goes: one HTML page; JSON if the name ends in .json; a page with its "
            "clips and all data if it ends in .zip.",
        ),
    ],
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Download an encoder's report: before and after, what it forgets, keeps, and cannot do."""
    files.check_free(output)
    kind = {".json": "json", ".zip": "zip"}.get(output.suffix, "html")
    with connect(server) as client:
        path = api_path("encoders", check_id(encoder_id), "report")
        files.create(output, client.download(path, format=kind))
    if as_json:
        show.result({"id": encoder_id, "file": str(output), "format": kind})
    else:
        show.line(f"{output}: the report on {encoder_id}")


app.command("audit")(audit_encoder)
app.command("compose")(compose_encoders)
app.command("judge")(judge_encoder)
app.command("export")(export_encoder)
app.command("import")(import_encoder)
app.command("merge")(merge_encoders)
app.command("remake")(remake_encoders)
app.command("recall")(recall_encoder)
app.command("ways")(find_ways)


def _origin_of(encoder: dict[str, Any]) -> dict[str, str]:
    if encoder["members"]:
        return {"members": ", ".join(member["id"] for member in encoder["members"])}
    return {"parent": encoder["parent"] or "the base"}


def ways_of(encoder: dict[str, Any]) -> str:
    """Return the phrases that draw the concepts without naming them; some are not forgotten."""
    ways = [way for concept in encoder["concepts"] for way in concept.get("ways", [])]
    return ", ".join(
        way["phrase"] if way["forgotten"] else f"{way['phrase']} (not forgotten)" for way in ways
    )


def _status_of(encoder: dict[str, Any]) -> str:
    """Return an encoder's status in words; a published one says if it failed or is not usable."""
    status: str = encoder["status"].replace("_", " ")
    if status == "published" and (encoder["audit"] or {}).get("state") == "failed":
        status = "published, audit failed"
    is_unusable = encoder["status"] == "published" and not encoder["usable"]
    return f"{status}, not usable" if is_unusable else status


def _audit_of(encoder: dict[str, Any]) -> str:
    """Return the state of an encoder's audit in words, and why it failed."""
    audit = encoder["audit"] or {}
    return ": ".join(text for text in (audit.get("state"), audit.get("reason")) if text)


def _encoder_table(found: list[dict[str, Any]]) -> Table:
    table = show.plain_table("id", "aliases", "status", "forgets", "gone", "kept", "made")
    for encoder in found:
        status, measures = _status_of(encoder), encoder["measures"]
        if status == "in progress":
            status = f"{encoder['phase']}, {encoder['progress']} %"
        table.add_row(
            encoder["id"],
            ", ".join(encoder["aliases"]),
            status,
            show.forgets(encoder),
            show.rate(measures, "forget"),
            show.rate(measures, "retain"),
            show.local_time(encoder["completed_at"]),
        )
    return table


def _facts_of(encoder: dict[str, Any]) -> Table:
    settings = encoder["settings"]
    error = encoder["error"]
    found = {
        "id": encoder["id"],
        "status": _status_of(encoder),
        "why": error["message"] if error else "",
        "forgets": show.forgets(encoder),
        "also reached by": ways_of(encoder),
        **_origin_of(encoder),
        "made": show.local_time(encoder["completed_at"]),
        "digest": encoder["digest"] or "",
        "base": encoder["base"] or "",
        "audit": _audit_of(encoder),
        "settings": ", ".join(f"{name} {json.dumps(value)}" for name, value in settings.items()),
    }
    return show.facts_table({name: text for name, text in found.items() if text})
