"""`palimpsest admin`: move a server's data, back it up, restore it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import show
from cli.configuration import read_settings, warn_of_unknown_variables
from cli.options import AsJson, DataDir, given_path
from server.storage.private_files import private

if TYPE_CHECKING:
    from server.copying.copying import Copied
    from server.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Move a server's data to another database and store, back it up, restore it.",
)

ToDatabase = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The new server's PostgreSQL database, without a password: that is read from "
        "PGPASSWORD or ~/.pgpass. Left out: PALIMPSEST_DATABASE, or SQLite in its data directory.",
    ),
]
ToStore = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The new server's bucket. Left out: PALIMPSEST_STORE, or its data directory.",
    ),
]
ToDataDir = Annotated[
    Path | None,
    typer.Option(
        parser=given_path,
        metavar="DIRECTORY",
        help="The new server's data directory. Left out: PALIMPSEST_DATA_DIR, or `data`.",
    ),
]


@app.command()
def migrate(
    data_dir: Annotated[
        Path,
        typer.Option(
            "--from",
            parser=given_path,
            metavar="DIRECTORY",
            help="The data directory of a server that is stopped. Nothing in it is removed.",
        ),
    ],
    to_database: ToDatabase = None,
    to_store: ToStore = None,
    to_data_dir: ToDataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy all that a stopped server has to a new one's database and store, which are empty.

    A command that was cut off goes on when it is run again. Everything is compared by digests.
    """
    from server.copying.copying import fill
    from server.copying.server_source import stopped_server

    settings = _target(to_database, to_store, to_data_dir)
    with private(), stopped_server(data_dir) as source, _progress("moving") as tell:
        copied = fill(source, settings, tell)
    _tell(copied, f"{data_dir} is copied to {_place(settings)}, and stays as it is.", as_json)


@app.command()
def backup(
    to: Annotated[
        Path,
        typer.Option(parser=given_path, metavar="FILE", help="The new file, such as today.tar."),
    ],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write all that a server has to one file. The server may be running.

    The file has keys' hashes, and private keys that the server made: keep it as you keep these.
    """
    from server.copying.copying import back_up
    from server.copying.server_source import opened_server

    warn_of_unknown_variables()
    settings = read_settings(**({} if data_dir is None else {"data_dir": data_dir}))
    with private(), opened_server(settings) as source, _progress("backing up") as tell:
        copied = back_up(source, to, tell)
    _tell(copied, f"{_place(settings)} is backed up in {to}.", as_json)


@app.command()
def restore(
    file: Annotated[
        Path,
        typer.Option("--from", parser=given_path, metavar="FILE", help="The backup's file."),
    ],
    to_database: ToDatabase = None,
    to_store: ToStore = None,
    to_data_dir: ToDataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a new server, whose database and store are empty, all that a backup has.

    The whole backup is checked first. A command that was cut off goes on when it is run again.
    """
    from server.copying.backup import opened_backup
    from server.copying.copying import fill

    settings = _target(to_database, to_store, to_data_dir)
    with private(), opened_backup(file) as source, _progress("restoring") as tell:
        source.check(lambda done, total: tell("checking the backup", done, total))
        copied = fill(source, settings, tell)
    _tell(copied, f"{file} is restored to {_place(settings)}.", as_json)


def _target(database: str | None, store: str | None, data_dir: Path | None) -> Settings:
    warn_of_unknown_variables()
    given = {"database": database, "store": store, "data_dir": data_dir}
    try:
        settings = read_settings(**{n: value for n, value in given.items() if value is not None})
    except typer.BadParameter as error:
        error.param_hint = f"--to-{str(error.param_hint).removeprefix('--')}"
        raise
    address = settings.postgres
    if database and address is not None and "password" in address.options:
        raise typer.BadParameter(
            "A password would show in the list of processes: set PALIMPSEST_DATABASE or "
            "PGPASSWORD instead.",
            param_hint="--to-database",
        )
    return settings


def _place(settings: Settings) -> str:
    address = settings.postgres
    database = None if address is None else f"PostgreSQL at {address.name}"
    places = [database, settings.store or None]
    if None in places:
        places.append(str(settings.data_dir))
    return " and ".join(place for place in places if place is not None)


@contextmanager
def _progress(verb: str) -> Generator[Callable[[str, int, int], None]]:
    with show.progress() as bar:
        task = bar.add_task(verb, phase="")

        def tell(phase: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=max(total, 1), phase=phase)

        yield tell


def _tell(copied: Copied, sentence: str, as_json: bool) -> None:
    for path in copied.left_out:
        show.note(f"{path} is left out: it is no file, or was deleted meanwhile.")
    if as_json:
        show.result(asdict(copied))
        return
    rows = sum(copied.rows.values())
    show.line(f"{sentence} {rows} rows and {copied.files} files ({copied.bytes:,} bytes).")
