"""`palimpsest erase`: remove all that a server stores about a tenant."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli import show
from cli.client import api_path
from cli.connection import connect
from cli.errors import CommandFailed
from cli.options import AsJson, ServerUrl
from encoders import check_id


def erase(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The id of the tenant's key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a tenant's key, and remove its videos, files, records and usage for good.

    Jobs under way are cancelled. Published encoders stay. Asks a server, with an admin's key.
    """
    path = api_path("tenants", check_id(tenant, param="tenant"))
    if not yes and not sys.stdin.isatty():
        raise CommandFailed(f"There is no terminal to ask: say --yes to erase {tenant}.")
    with connect(server) as client:
        question = f"Erase all that the server stores about {tenant}, for good?"
        if not (yes or show.confirm(question)):
            raise CommandFailed("Nothing is erased.")
        answer = client.delete(path)
    if as_json:
        show.result(answer)
        return
    key = "its key is revoked" if answer["key_revoked"] else "the database has no key of this id"
    show.line(
        f"{tenant} is erased: {answer['videos']} videos, {answer['encoder_jobs']} records of "
        f"encoders, {answer['deleted_videos']} records of deleted videos; "
        f"{answer['ledger_entries']} entries of the ledger do not name it any more; {key}."
    )
