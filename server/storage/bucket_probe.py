"""Probe of a bucket: what a server relies on is tried once, before anything is stored.

Some servers that speak S3 ignore the condition of a create, or list late. On those two servers
would overwrite each other's encoders, and sweeps would miss files; nobody would notice for weeks.
"""

from __future__ import annotations

import uuid

from encoders import PalimpsestError
from encoders.blob_store import BlobStore, StoreUnreachable, TooLarge
from encoders.folder_marker import MARKER
from server.storage.owned_names import MARKED_FOLDERS
from server.storage.unfinished_copy import MOST_BYTES, UnfinishedCopy, refusal

_FIRST, _SECOND = b"first", b"second, which is longer"


class StoreUnfit(PalimpsestError):
    """Error: the store cannot be a server's; the message names it, and what it lacks."""

    code = "store_unfit"


def check_store(url: str) -> None:
    """Check before a start that a store can be a server's; one that is away is not looked at.

    Args:
        url: Such as `s3://bucket/prefix`; empty: the data directory, which needs no probe.

    Raises:
        StoreUnfit: It lacks something, or is just being filled.
    """
    if not url:
        return
    from encoders.object_blobs import ObjectBlobs

    try:
        if unfinished_copy(url) is not None:
            raise StoreUnfit(refusal(url))
        probe(ObjectBlobs(url), url)
    except StoreUnreachable:
        return  # the server starts, says so, and waits


def unfinished_copy(url: str) -> UnfinishedCopy | None:
    """Return the copy that a bucket is being filled with, as the marker of its first folder says.

    Raises:
        StoreUnreachable: It is away just now.
    """
    from encoders.object_blobs import ObjectBlobs

    folder = ObjectBlobs(f"{url.rstrip('/')}/{MARKED_FOLDERS[0]}")
    try:
        return UnfinishedCopy.parsed(folder.read(MARKER, MOST_BYTES))
    except TooLarge:
        return None


def probe(blobs: BlobStore, name: str) -> None:
    """Write, read, list and remove a few bytes.

    Args:
        blobs: The store.
        name: Its name in the message.

    Raises:
        StoreUnfit: The store lacks something.
        StoreUnreachable: It is away just now.
    """
    folder = f".probe-{uuid.uuid4().hex}"
    path = f"{folder}/blob"
    try:
        lacks = _lack(blobs, folder, path)
    finally:
        blobs.remove([path])
    if lacks is None and blobs.read(path, len(_SECOND)) is not None:
        lacks = "deletes: an object was still there after it was deleted"
    if lacks is not None:
        raise StoreUnfit(f"{name} cannot be this server's store, because it lacks {lacks}.")


def _lack(blobs: BlobStore, folder: str, path: str) -> str | None:
    if not blobs.create(path, _FIRST):
        return "conditional creates: an object that nobody had written was there already"
    if blobs.read(path, len(_SECOND)) != _FIRST:
        return "reads that see writes: an object was not what had just been written"
    if blobs.create(path, _SECOND) or blobs.read(path, len(_SECOND)) != _FIRST:
        return "conditional creates: a second create of one object succeeded (If-None-Match)"
    if [item.path for item in blobs.walk(folder)] != [path]:
        return "lists that see writes: an object was not listed that had just been written"
    opened = blobs.open(path)
    if opened is None or opened.read(1, 2) != _FIRST[1:3]:
        return "reads of a range"
    return None
