"""`palimpsest unlearn`: make an encoder that forgets a concept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import files
from cli.connection import connect
from cli.jobs import run_job
from cli.made import show_made
from cli.options import (
    AsJson,
    GateTier,
    MaxProbes,
    MaxRetainDrop,
    MinBaseRate,
    MinForgetRate,
    ServerUrl,
)
from encoders import Kind


def unlearn(
    concept: Annotated[
        str | None,
        typer.Argument(
            metavar="CONCEPT",
            help="What to forget, by its name. Left out: what the images show.",
        ),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="What sort of thing it is. Images alone can do without."),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="A picture of it, as PNG, JPEG or WebP; about four. Repeatable."
        ),
    ] = None,
    encoder_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The new encoder's. Left out: made up.")
    ] = None,
    synonym: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Another phrase for it. Repeatable."),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The parent encoder: what it has forgotten stays forgotten."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="redirect, ascent (the published one), or an installed one. Left out: redirect."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="One of the method's settings, such as steps=300. Repeatable.",
        ),
    ] = None,
    ways: Annotated[
        bool | None,
        typer.Option(
            "--ways/--no-ways",
            help="Look first for phrases that draw it without naming it, and forget them with it. "
            "Left out: if the method learns from prompts.",
        ),
    ] = None,
    tier: GateTier = None,
    min_forget_rate: MinForgetRate = None,
    max_retain_drop: MaxRetainDrop = None,
    min_base_rate: MinBaseRate = None,
    max_probes: MaxProbes = None,
    claimant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who asked for it: kept for admins alone.")
    ] = None,
    claim: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What they claim, or their reference.")
    ] = None,
    contact: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where they can be reached.")
    ] = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make an encoder that forgets a concept, and have it judged.

    It is published only if it passes; else the exit status is 1. What it has to reach is the
    server's to say, where an option does not. Ctrl-C cancels it on the server.
    """
    if concept is None and not image:
        raise typer.BadParameter("name what to forget, or give --image.", param_hint="CONCEPT")
    if concept is not None and kind is None:
        raise typer.BadParameter("a concept that has a name needs one.", param_hint="--kind")
    pictures = [(path.name, files.read(path)) for path in image or []]
    options: dict[str, Any] = {
        "concept": concept,
        "kind": kind,
        "id": encoder_id,
        "synonyms": synonym,
        "parent": parent,
        "settings": _settings(method, setting or []),
        "claimant": claimant,
        "claim": claim,
        "contact": contact,
    }
    gate = {
        "tier": tier,
        "min_forget_rate": min_forget_rate,
        "max_retain_drop": max_retain_drop,
        "min_base_rate": min_base_rate,
        "max_probes": max_probes,
    }
    body = {name: value for name, value in options.items() if value}
    if ways is not None:
        body["ways"] = ways
    body["gate"] = {name: value for name, value in gate.items() if value is not None}
    with connect(server) as client:
        what = concept or f"what {len(pictures)} pictures show"
        encoder = run_job(client, "encoders", body, f"An encoder that forgets {what}", pictures)
    show_made(encoder, as_json=as_json)


def _settings(method: str | None, pairs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"method": method} if method else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE.", param_hint="--setting")
        if name in found:
            raise typer.BadParameter(f"{name!r} is given twice.", param_hint="--setting")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
