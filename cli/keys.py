"""`palimpsest keys`: make, list, limit, renew and revoke the keys in a server's database."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import show
from cli.data_directory import open_database
from cli.errors import CommandFailed
from cli.key_limits import Limit, parsed
from cli.options import AsJson, DataDir

if TYPE_CHECKING:
    from server.auth.keys import Key
    from server.settings import Settings
    from server.storage.key_rows import KeyRow
    from server.storage.key_table import KeyTable

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list, limit, renew and revoke keys, in the database of a data directory. A server "
    "that runs on it notices within two seconds.",
)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's name, such as the tenant's.")]
Expires = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Time from which the key is refused: 90d, 12h, 30m, or a date, 2027-01-31. Left out: "
        "it does not expire.",
    ),
]


@app.command("create")
def create_key(
    key_id: KeyId,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="admin: may use and make everything. Or user.")
    ] = "user",
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Encoder, alias, base, or '*' for all, that a user's key may use. Repeatable.",
        ),
    ] = None,
    default: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one that is used if none is named.")
    ] = None,
    addition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Encoder, alias, or '*' for any, that a request may add to one of these, and not "
            "use without it. Repeatable.",
        ),
    ] = None,
    expires: Expires = None,
    limit: Limit = None,
    entry: Annotated[
        bool,
        typer.Option(
            "--entry", help="Store nothing: print the entry for a keys file (PALIMPSEST_KEYS_FILE)."
        ),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and show its secret once. Only its hash is stored."""
    from server.auth.keys import hash_key, new_secret
    from server.storage.key_rows import KeyRow

    secret = new_secret()
    limits = {name: value for name, value in parsed(limit).items() if value is not None}
    key = _checked(
        id=key_id,
        sha256=hash_key(secret),
        role=role,
        encoders=encoder or None,
        default_encoder=default,
        additions=addition or [],
        expires_at=expiry(expires),
        limits=limits,
    )
    declared = key.model_dump(exclude_none=True, exclude_defaults=True)
    if entry:
        if as_json:
            show.result({"secret": secret, "entry": declared})
        else:
            show.line(f"key (shown once): {secret}")
            show.line(f"entry for the keys file: {key.model_dump_json(exclude_defaults=True)}")
        return
    with _table(data_dir) as (settings, table):
        if key_id in _declared_ids(settings):
            raise CommandFailed(f"The keys file has a key {key_id!r} already.")
        table.add(KeyRow(**key.model_dump()))
    _show_secret(key_id, secret, key.expires_at, as_json=as_json)


@app.command("list")
def list_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys in the database, revoked and expired ones too; never their secrets."""
    with _table(data_dir, create=False) as (_, table):
        found = [_facts(row) for row in table.all()]
    if as_json:
        show.result(found)
        return
    if not found:
        show.line("There are no keys in the database: `palimpsest keys create` makes one.")
        return
    names = ("id", "role", "encoders", "default", "adds", "limits", "made", "expires", "state")
    rows = show.plain_table(*names)
    for key in found:
        rows.add_row(
            key["id"],
            key["role"],
            ", ".join(key["encoders"] or ["*"]),
            key["default_encoder"] or "",
            ", ".join(key["additions"] or []),
            ", ".join(f"{name}={value}" for name, value in key["limits"].items()),
            show.local_time(key["created_at"]),
            show.local_time(key["expires_at"]) if key["expires_at"] else "never",
            key["state"],
        )
    show.table(rows)


@app.command("limit")
def limit_key(
    key_id: KeyId, limit: Limit = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Change limits of a key; show those that it has of its own."""
    changes = parsed(limit)
    with _table(data_dir, create=False) as (settings, table):
        limits = table.limit(key_id, changes)
        if changes and key_id in _declared_ids(settings):
            show.note(f"The keys file has a key {key_id!r} too, and its limits hold: change them.")
    if as_json:
        show.result({"id": key_id, "limits": limits})
        return
    own = ", ".join(f"{name}={value}" for name, value in limits.items())
    show.line(f"{key_id} has {own or 'no limits of its own: those of the settings hold'}.")


@app.command("rotate")
def rotate_key(
    key_id: KeyId, expires: Expires = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Give a key a new secret and expiry. The old secret is refused, videos and rights stay."""
    from server.auth.keys import hash_key, new_secret

    secret, expires_at = new_secret(), expiry(expires)
    with _table(data_dir, create=False) as (_, table):
        table.rotate(key_id, hash_key(secret), expires_at)
    _show_secret(key_id, secret, expires_at, as_json=as_json)


@app.command("revoke")
def revoke_key(key_id: KeyId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Refuse a key from now on. What it made stays: `palimpsest erase` removes that."""
    with _table(data_dir, create=False) as (settings, table):
        table.revoke(key_id)
        if key_id in _declared_ids(settings):
            show.note(f"The keys file still has a key {key_id!r}: remove it there too.")
    show.result({"id": key_id, "revoked": True}) if as_json else show.line(f"{key_id} is revoked.")


def expiry(text: str | None) -> int | None:
    """Return the Unix time that a duration from now, or a date in UTC, stands for.

    Raises:
        typer.BadParameter: It is neither, or not in the future.
    """
    if text is None:
        return None
    now = int(time.time())
    if part := re.fullmatch(r"([0-9]{1,9})([smhdw])", text.strip().lower()):
        when = now + int(part[1]) * _SECONDS[part[2]]
    else:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is neither a duration such as 90d nor a date such as 2027-01-31.",
                param_hint="--expires",
            ) from None
        when = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if when <= now:
        raise typer.BadParameter(f"{text!r} is not in the future.", param_hint="--expires")
    return when


@contextmanager
def _table(data_dir: Path | None, *, create: bool = True) -> Generator[tuple[Settings, KeyTable]]:
    """Yield the settings and the table of keys of a data directory.

    Raises:
        CommandFailed: There is no database, and `create` is False.
        ForeignDirectory: The directory is no server's, and not empty.
    """
    from server.storage.key_table import KeyTable

    lacking = "so no keys: name the server's directory with --data-dir, or make a key with "
    lacking += "`palimpsest keys create`"
    with open_database(data_dir, lacking=None if create else lacking) as (settings, database):
        yield settings, KeyTable(database)


def _checked(**values: Any) -> Key:
    from pydantic import ValidationError

    from server.auth.keys import Key

    try:
        return Key.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        raise CommandFailed(f"{place}: {message}." if place else f"{message}.") from error


def _declared_ids(settings: Settings) -> set[str]:
    from server.auth import keys_file

    return keys_file.ids_in(settings.keys_file)


def _facts(row: KeyRow) -> dict[str, Any]:
    names = ("id", "role", "encoders", "default_encoder", "additions", "limits")
    names += ("created_at", "expires_at")
    state = "valid"
    if row.revoked_at is not None:
        state = "revoked"
    elif row.expires_at is not None and row.expires_at <= time.time():
        state = "expired"
    return {**{name: getattr(row, name) for name in names}, "state": state}


def _show_secret(key_id: str, secret: str, expires_at: int | None, *, as_json: bool) -> None:
    if as_json:
        show.result({"id": key_id, "secret": secret, "expires_at": expires_at})
    else:
        show.line(f"key (shown once): {secret}")
