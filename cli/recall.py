"""`palimpsest encoders recall`: everything that an encoder has reached, and what to tell whom."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import show
from cli.client import Client, api_path
from cli.connection import connect
from cli.options import AsJson, ServerUrl

_PAGE = 1000
_COLUMNS = {
    "key": ("bound by", "may add", "clips", "first", "last"),
    "alias": ("points to", "since"),
    "set": ("published", "since", "clips"),
}


def recall_encoder(
    encoder: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The encoder's id, also of one that was deleted; or its identity or digest.",
        ),
    ],
    clips: Annotated[bool, typer.Option("--clips", help="List every clip too.")] = False,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the clips, aliases, sets and keys that an encoder has reached, and what to tell them.

    Changes nothing. Takes an admin's key.
    """
    with connect(server) as client:
        found = _recall(client, encoder, with_clips=clips or as_json)
    if as_json:
        show.result(found)
        return
    show.table(_facts(found))
    for title, rows in (
        ("key", [_key(one) for one in found["keys"]]),
        (
            "alias",
            [
                (one["id"], one["encoder"], show.local_time(one["since"]))
                for one in found["aliases"]
            ],
        ),
        ("set", [_set(one) for one in found["composites"]]),
    ):
        if rows:
            show.line("")
            table = show.plain_table(title, *_COLUMNS[title])
            for row in rows:
                table.add_row(*row)
            show.table(table)
    if clips and found["data"]:
        show.line("")
        table = show.plain_table("clip", "key", "encoder", "made", "SHA-256")
        for one in found["data"]:
            names = (one["video_id"] or "erased", one["key"] or "erased", one["encoder"])
            table.add_row(*names, show.local_time(one["completed_at"]), one["clip"])
        show.table(table)
    show.line("")
    show.line(found["notice"])


def _recall(client: Client, encoder: str, *, with_clips: bool) -> dict[str, Any]:
    """Return an encoder's recall, with all its clips on one page if they are asked for."""
    path = api_path("encoders", encoder, "recall")
    pages = [client.get(path, limit=_PAGE)]
    while with_clips and pages[-1]["has_more"]:
        pages.append(client.get(path, limit=_PAGE, after=pages[-1]["last_sequence"]))
    return {**pages[-1], "data": [clip for page in pages for clip in page["data"]]}


def _facts(found: dict[str, Any]) -> Any:
    concepts = ", ".join(f"{one['name']} ({one['kind']})" for one in found["concepts"])
    erased = f", {found['erased_clips']} of erased keys" if found["erased_clips"] else ""
    span = (
        f"{show.local_time(found['first_at'])} to {show.local_time(found['last_at'])}"
        if found["clips"]
        else ""
    )
    facts = {
        "encoder": ", ".join(found["ids"]),
        "identity": "\n".join(found["identities"]),
        "state": "published: it can still be used" if found["published"] else "not published",
        "made": show.local_time(found["made_at"]),
        "forgets": concepts,
        "clips": f"{found['clips']}{erased}",
        "made with it": span,
    }
    return show.facts_table({name: text for name, text in facts.items() if text})


def _key(one: dict[str, Any]) -> tuple[str, ...]:
    bound, added = (", ".join(one[name]) for name in ("bound_by", "may_add"))
    times = (show.local_time(one["first_at"]), show.local_time(one["last_at"]))
    return (one["id"], bound, added, str(one["clips"]), *times)


def _set(one: dict[str, Any]) -> tuple[str, ...]:
    is_published = "yes" if one["published"] else "no"
    return (one["id"], is_published, show.local_time(one["since"]), str(one["clips"]))
