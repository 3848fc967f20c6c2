"""Files of aliases, as earlier versions kept them beside the encoders."""

from __future__ import annotations

import logging
from pathlib import Path

from encoders import InvalidId, check_id
from encoders.blob_store import NotABlob, TooLarge
from encoders.open_blobs import open_blobs
from server.storage.alias_table import AliasTable

log = logging.getLogger(__name__)

_MAX_BYTES = 1024
"""Largest file that is read: an encoder's id is far shorter."""


def import_alias_files(folder: Path, aliases: AliasTable) -> None:
    """Move aliases from files of `folder` into the table. Does nothing if there are none.

    An alias that the table has already stays as it is. A file that holds no encoder's id, or whose
    name is no alias, is logged and left. Call it before requests are served.
    """
    if not (folder / "aliases").is_dir():
        return
    blobs = open_blobs(folder)
    found: dict[str, str] = {}
    for blob in blobs.walk("aliases"):
        try:
            name = check_id(blob.path.removeprefix("aliases/"))
            content = blobs.read(blob.path, _MAX_BYTES)
            found[name] = check_id((content or b"").decode())
        except (InvalidId, TooLarge, NotABlob, UnicodeDecodeError):
            log.warning("the alias file %s is left out: it names no encoder", folder / blob.path)
    aliases.add_missing(found)
    # Only now: a kill in between imports them once more.
    blobs.remove(f"aliases/{name}" for name in found)
    if found:
        log.info("%d aliases were moved into the database", len(found))
