"""Named blobs in S3, or in another store that obstore knows.

Some servers that speak S3 ignore the condition of a create: on those, two publishers of one id are
not told apart. A server refuses such a store (`server.storage.bucket_probe`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from itertools import islice
from mimetypes import guess_type
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from encoders.blob_store import (
    BlobInfo,
    BlobStore,
    Found,
    Item,
    OpenBlob,
    StoreUnreachable,
    TooLarge,
)
from encoders.folder_marker import MARKER

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_PIECE_BYTES = 256 << 10
_PART_BYTES = 8 << 20
"""Bytes of a request for a part of a large blob: each has to end within the timeout."""
_AT_ONCE = 4
"""Parts of one blob that are sent at the same time."""
_LOOKS_AT_ONCE = 16
_DELETED_AT_ONCE = 1000
# A store that is away has to be noticed before the client of a request gives up. The jobs repeat
# for as long as it takes.
TIMEOUT_S = 15.0
_NO_BUCKET = "the bucket does not exist"
_CLIENT: ClientConfig = {
    "allow_http": True,  # of an endpoint that the operator wrote with http://
    "connect_timeout": "3s",
}
_RETRIES: RetryConfig = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}
_ADDRESS = re.compile(r"(https?://)(?:[^\s/@]*@)?([^\s/?#]*)\S*")
"""An address with its user, password, path and query: only the host may be told."""
_CODE = re.compile(r"<Code>(\w{1,80})</Code>")
_MOST_CHARS = 300


class ObjectBlobs(BlobStore):
    """Blobs by path, as objects below a URL such as `s3://bucket/prefix`.

    Args:
        url: The URL. The credentials are obstore's to find, in environment variables.
        is_marked: True if the store has a marker (`encoders.folder_marker`). While that is away,
            or the bucket, StoreUnreachable is raised: nothing is taken for absent.
        is_away: Returns True while the store is known to be away: then nothing is asked of it, and
            no thread waits for the end of a request.
        timeout_s: Most seconds of one request.
    """

    def __init__(
        self,
        url: str,
        *,
        is_marked: bool = False,
        is_away: Callable[[], bool] = lambda: False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._is_marked = is_marked
        self._is_away = is_away
        with explained(url):
            client: ClientConfig = {**_CLIENT, "timeout": timedelta(seconds=timeout_s)}
            self._store = from_url(url, client_options=client, retry_config=_RETRIES)

    def put_all(self, blobs: Mapping[str, bytes]) -> None:
        for path, data in blobs.items():
            self._put(path, data)

    def put_folder(self, folder: str, blobs: Mapping[str, bytes]) -> None:
        wanted = {f"{folder}/{name}": data for name, data in blobs.items()}
        self.remove(list(wanted)[-1:])  # while it is there, all of the others are
        self.remove_folder(folder)
        self.put_all(wanted)

    def create(self, path: str, data: bytes) -> bool:
        with self._explained(_NO_BUCKET):
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def read(self, path: str, max_bytes: int) -> bytes | None:
        with self._explained():
            try:
                result = obstore.get(self._store, path)
                if (size := result.meta["size"]) > max_bytes:
                    raise TooLarge(size)
                if size <= _PART_BYTES:
                    return bytes(result.bytes())
                return self._read_parts(path, size, result.meta["e_tag"])
            except FileNotFoundError:
                self.check_there()
                return None

    def open(self, path: str) -> OpenBlob | None:
        with self._explained():
            try:
                return _OpenObject(self._store, self._explained, path)
            except FileNotFoundError:
                self.check_there()
                return None

    def signed_url(self, path: str, seconds: int) -> str | None:
        with self._explained():
            return obstore.sign(self._store, "GET", path, timedelta(seconds=seconds))  # pyright: ignore[reportArgumentType, reportCallIssue]

    def exists(self, path: str) -> bool:
        if not self._has(path):
            self.check_there()
            return False
        return True

    def version(self, path: str) -> None:
        return None  # a question about a small blob costs as much as the blob

    def remove(self, paths: Iterable[str]) -> None:
        with self._explained():
            rest = iter(paths)
            while some := list(islice(rest, _DELETED_AT_ONCE)):
                try:
                    obstore.delete(self._store, some)
                except FileNotFoundError:  # a store that says so may have left the others
                    for path in some:
                        with suppress(FileNotFoundError):
                            obstore.delete(self._store, path)

    def remove_folder(self, folder: str) -> None:
        self.remove([item.path for item in self.walk(folder)])

    def touch(self, path: str) -> None:
        return  # an object is as old as its content

    def walk(self, folder: str) -> Iterator[BlobInfo]:
        with self._explained(_NO_BUCKET):
            for chunk in obstore.list(self._store, folder):
                for item in chunk:
                    yield BlobInfo(item["path"], item["last_modified"], item["size"])

    def drafts(self, folder: str) -> Iterator[BlobInfo]:
        return iter(())  # parts of an unfinished upload are no objects; a bucket's rule ends them

    def subfolders(self, folder: str) -> list[str]:
        with self._explained(_NO_BUCKET):
            listing = obstore.list_with_delimiter(self._store, folder)
        found = [path.rsplit("/", 1)[-1] for path in listing["common_prefixes"]]
        if not found:
            self.check_there()
        return found

    def each(self, look: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
            return list(pool.map(look, items))

    def writing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def alone(self, *, wait: bool) -> AbstractContextManager[bool]:
        return nullcontext(False)

    def check_there(self) -> None:
        """Check that the marker is there, if the store has one.

        Raises:
            StoreUnreachable: It is not, so what else is absent says nothing; or the store is away.
        """
        if self._is_marked and not self._has(MARKER):
            raise StoreUnreachable(f"{self._url} has no {MARKER}, which was written to it once")

    def _explained(self, missing: str | None = None) -> AbstractContextManager[None]:
        if self._is_away():
            raise StoreUnreachable(f"{self._url} is away")
        return explained(self._url, missing=missing)

    def _has(self, path: str) -> bool:
        with self._explained():
            try:
                obstore.head(self._store, path)
            except FileNotFoundError:
                return False
        return True

    def _put(self, path: str, data: bytes) -> None:
        # Whoever reads it by a signed URL gets the type that it is stored with.
        kind = guess_type(path)[0]
        attributes: Any = {"Content-Type": kind} if kind else None
        with self._explained(_NO_BUCKET):
            obstore.put(self._store, path, data, attributes=attributes, max_concurrency=_AT_ONCE)

    def _read_parts(self, path: str, size: int, tag: str | None) -> bytes:
        whole = bytearray()
        while len(whole) < size:
            part = (len(whole), min(len(whole) + _PART_BYTES, size))
            options: Any = {"range": part} | ({"if_match": tag} if tag else {})
            whole += obstore.get(self._store, path, options=options).bytes()
        return bytes(whole)


class _OpenObject(OpenBlob):
    """An object whose parts are requests; the first one came as it was opened."""

    piece_bytes = _PIECE_BYTES

    def __init__(
        self, store: Any, explained: Callable[[str], AbstractContextManager[None]], path: str
    ) -> None:
        self._store, self._explained, self._path = store, explained, path
        try:
            first = obstore.get(store, path, options={"range": (0, _PIECE_BYTES)})
            self._first = bytes(first.bytes())
            found = first.meta
        except BaseError as error:
            found = obstore.head(store, path)
            if found["size"]:
                raise error  # an empty object has no range
            self._first = b""
        self.size = found["size"]
        self.last_modified: datetime = found["last_modified"]

    def read(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size)
        if end <= len(self._first):
            return self._first[start:end]
        with self._explained("an object was removed while it was read"):
            return bytes(obstore.get_range(self._store, self._path, start=start, end=end))

    def close(self) -> None:
        self._first = self._first[:0]


@contextmanager
def explained(url: str, *, missing: str | None = None) -> Generator[None]:
    """Turn obstore's errors into StoreUnreachable: one line without queries and answers' bodies.

    A query can hold a credential, and so can a body that says why a signature was refused.

    Args:
        url: The store, for the message.
        missing: What it means here if something is not found; None lets FileNotFoundError through.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and missing is None:
            raise
        text = missing if isinstance(error, FileNotFoundError) else _brief(str(error))
        # Not `from error`: a log of the whole chain would show what was left out.
        raise StoreUnreachable(f"{url} cannot be used: {text}") from None


def _brief(text: str) -> str:
    code = _CODE.search(text)
    line = _ADDRESS.sub(r"\1\2", text.splitlines()[0].split("<", 1)[0]).strip(" :")[:_MOST_CHARS]
    return f"{line} ({code[1]})" if code else line
