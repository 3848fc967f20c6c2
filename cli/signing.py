"""`palimpsest signing`: the keys that clips and reports are signed with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import show
from cli.data_directory import open_database
from cli.options import AsJson, DataDir

if TYPE_CHECKING:
    from server.storage.signing_key_rows import SigningKeyRow
    from server.storage.signing_keys import SigningKeys

app = typer.Typer(
    no_args_is_help=True,
    help="Look at the keys that clips and reports are signed with, make a new one, revoke one.",
)

SigningKeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's `sha256:…`.")]


@app.command("list")
def list_signing_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys, oldest first; never their private parts."""
    with _keys(data_dir) as keys:
        found = [_facts(row) for row in keys.all()]
    if as_json:
        show.result(found)
        return
    rows = show.plain_table("key", "signer", "valid until", "kept in")
    for key in found:
        rows.add_row(
            key["id"],
            key["signer"],
            show.local_time(key["valid_until"]),
            "revoked" if key["revoked_at"] else "database" if key["is_own"] else "settings",
        )
    show.table(rows)


@app.command("certificates")
def print_certificates(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the certificates of all keys as PEM, for those who check your clips and reports.

    Revoked ones are left out.
    """
    with _keys(data_dir) as keys:
        found = [row.certificates for row in keys.all() if row.revoked_at is None]
    if as_json:
        show.result(found)
    else:
        typer.echo("".join(found), nl=False)


@app.command("rotate")
def rotate_signing_key(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make a new key of the server's own, which signs from now on. Old signatures still hold."""
    with _keys(data_dir) as keys:
        key_id = keys.rotate()
    if as_json:
        show.result({"id": key_id})
    else:
        show.line(f"{key_id} signs from now on, unless the settings name another.")


@app.command("revoke")
def revoke_signing_key(
    key_id: SigningKeyId, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Let a key's signatures count for nothing from now on, and forget its private part."""
    with _keys(data_dir) as keys:
        row = keys.revoke(key_id)
    if as_json:
        show.result({"id": key_id, "revoked_at": row.revoked_at})
    else:
        show.line(f"{key_id} is revoked: /v1/verify says so of all that it signed.")


def _facts(row: SigningKeyRow) -> dict[str, Any]:
    from marking.signing_key import certificate_of
    from marking.trust import signer_name

    leaf = certificate_of(row.certificates)
    return {
        "id": row.id,
        "signer": signer_name(leaf),
        "valid_until": int(leaf.not_valid_after_utc.timestamp()),
        "created_at": row.created_at,
        "revoked_at": row.revoked_at,
        "is_own": row.private_key is not None,
    }


@contextmanager
def _keys(data_dir: Path | None) -> Generator[SigningKeys]:
    from server.storage.signing_keys import SigningKeys

    lacking = "so no signing keys: the server makes one when it first starts"
    with open_database(data_dir, lacking=lacking) as (settings, database):
        yield SigningKeys(database, settings)
