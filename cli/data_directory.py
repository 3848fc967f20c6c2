"""The data directory, for commands that work on it themselves, with or without a server on it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cli.configuration import read_settings, warn_of_unknown_variables
from cli.errors import CommandFailed
from encoders import EncoderNotFound, check_id
from server.storage.private_files import private

if TYPE_CHECKING:
    from encoders.store import EncoderStore
    from server.settings import Settings
    from server.storage.alias_table import AliasTable
    from server.storage.database import Database


def open_store(*, must_exist: bool) -> EncoderStore:
    """Open the store of published encoders.

    Raises:
        CommandFailed: Its folder cannot be used, or does not exist and has to.
    """
    warn_of_unknown_variables()
    settings = read_settings()
    if settings.store:
        return _store_of_bucket(settings.store)
    folder = settings.data_dir / "encoders"
    if must_exist and not folder.is_dir():
        raise CommandFailed(f"There are no encoders in {folder}: is PALIMPSEST_DATA_DIR right?")
    from encoders.store import EncoderStore
    from server.storage.owned_names import check_own
    from server.storage.stored_folders import was_made

    try:
        check_own(folder.parent)
        with private():
            return EncoderStore(folder, is_marked=was_made(folder))
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be used: {error.strerror}.") from error


def _store_of_bucket(url: str) -> EncoderStore:
    from encoders.store import EncoderStore
    from server.storage.bucket import Bucket

    blobs = Bucket(url).blobs("encoders")
    try:
        blobs.check_there()
    except OSError as error:  # a server makes the marker at its first start
        raise CommandFailed(f"{error}.") from error
    return EncoderStore(blobs)


@contextmanager
def open_aliases() -> Generator[AliasTable]:
    """Yield the table of aliases, and close its database at the end."""
    from server.storage.alias_table import AliasTable
    from server.storage.backends import open_database as open_any

    with private():
        database = open_any(read_settings(), may_upgrade=False)
    try:
        yield AliasTable(database)
    finally:
        database.close()


@contextmanager
def open_database(
    data_dir: Path | None, *, lacking: str | None
) -> Generator[tuple[Settings, Database]]:
    """Yield the settings and the database of a data directory, and close it at the end.

    Args:
        data_dir: The directory; None: the settings'.
        lacking: What to say where there is no database; None: one is made.

    Raises:
        CommandFailed: There is no database, and none is made.
        ForeignDirectory: The directory is no server's, and not empty.
    """
    from server.storage.backends import has_database
    from server.storage.backends import open_database as open_any
    from server.storage.owned_names import check_own

    settings = read_settings(**({} if data_dir is None else {"data_dir": data_dir}))
    if lacking is not None and not has_database(settings):
        address = settings.postgres
        place = settings.data_dir if address is None else f"PostgreSQL at {address.name}"
        raise CommandFailed(f"{place} has no database, {lacking}.")
    with suppress(OSError):  # the database says why it cannot be opened
        check_own(settings.data_dir)
    with private():
        database = open_any(settings, may_upgrade=False)
        try:
            yield settings, database
        finally:
            database.close()


def check_free(store: EncoderStore, aliases: AliasTable, encoder_id: str) -> None:
    """Refuse an id that is an encoder's or an alias, before work that takes long.

    Raises:
        CommandFailed: The id is taken.
        InvalidId: It cannot be an id.
    """
    if aliases.target(check_id(encoder_id)) is not None:
        raise CommandFailed(f"{encoder_id!r} is an alias: choose another --id.")
    try:
        store.card(encoder_id)
    except EncoderNotFound:
        return
    raise CommandFailed(f"There is an encoder {encoder_id!r} already: choose another --id.")


def silence_loading() -> None:
    """Turn off the progress bars of loading, and those of downloads without a terminal."""
    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if not sys.stderr.isatty():
        disable_progress_bars()
