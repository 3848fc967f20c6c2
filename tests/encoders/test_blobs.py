"""Blobs, of which everything stored in files is built: alike on a directory and in a bucket."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from encoders.atomic_files import remove_tree
from encoders.blob_store import BlobStore, NotABlob, StoreUnreachable, TooLarge
from encoders.directory_blobs import DirectoryBlobs
from encoders.folder_marker import MARKER, mark
from encoders.object_blobs import ObjectBlobs, explained
from encoders.open_blobs import open_blobs
from tests.object_server import ObjectServer

LARGE = bytes(range(256)) * (36 << 10)  # 9 MiB: several parts, pieces and requests


@pytest.fixture
def blobs(location: Path | str) -> BlobStore:
    return open_blobs(location)


def paths(blobs: BlobStore, folder: str = "") -> list[str]:
    return sorted(item.path for item in blobs.walk(folder))


def test_what_is_put_is_read_and_listed(blobs: BlobStore) -> None:
    blobs.put_all({"a/b/c": b"1", "a/d": b"22", "e": b""})
    blobs.put_all({"a/d": b"333"})
    assert [blobs.read(path, 3) for path in ("a/b/c", "a/d", "e")] == [b"1", b"333", b""]
    assert paths(blobs) == ["a/b/c", "a/d", "e"]
    assert paths(blobs, "a") == ["a/b/c", "a/d"]
    assert paths(blobs, "none") == []
    assert sorted(blobs.subfolders("")) == ["a"]
    assert blobs.subfolders("a") == ["b"]
    assert blobs.subfolders("none") == []
    [info] = blobs.walk("a/b")
    assert info.size == 1
    assert abs(info.last_modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert blobs.exists("a/d")
    assert not blobs.exists("a/none")
    assert blobs.read("a/none", 3) is None
    with pytest.raises(TooLarge) as raised:
        blobs.read("a/d", 2)
    assert raised.value.size == 3
    blobs.remove(["a/d", "a/none", "e"])
    assert paths(blobs) == ["a/b/c"]
    assert list(blobs.drafts("")) == []


def test_a_create_happens_once(blobs: BlobStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: blobs.create("one", str(n).encode()), range(8)))
    assert sum(made) == 1
    assert blobs.read("one", 9) == str(made.index(True)).encode()
    blobs.remove(["one"])
    assert blobs.create("one", b"again")


def test_a_large_blob_is_read_whole_and_in_parts(blobs: BlobStore) -> None:
    blobs.put_all({"large": LARGE})
    assert blobs.read("large", len(LARGE)) == LARGE
    opened = blobs.open("large")
    assert opened is not None
    with opened as blob:
        assert blob.size == len(LARGE)
        places = [0, 5, blob.piece_bytes - 3, blob.piece_bytes, 4_000_000, len(LARGE) - 2]
        for place in places:
            assert blob.read(place, 7) == LARGE[place : place + 7]
        whole = b"".join(blob.read(at, 1 << 20) for at in range(0, blob.size, 1 << 20))
        assert whole == LARGE
        assert blob.read(0, blob.size) == LARGE
    assert blobs.open("none") is None
    blobs.put_all({"empty": b""})
    empty = blobs.open("empty")
    assert empty is not None
    with empty:
        assert (empty.size, empty.read(0, 10)) == (0, b"")


def test_a_folder_is_replaced_as_one(blobs: BlobStore) -> None:
    blobs.put_folder("v/1", {"a": b"1", "old": b"2", "main": b"3"})
    blobs.put_folder("v/1", {"a": b"4", "main": b"5"})
    blobs.put_folder("v/2", {"main": b"6"})
    assert paths(blobs) == ["v/1/a", "v/1/main", "v/2/main"]
    assert (blobs.read("v/1/a", 9), blobs.read("v/1/main", 9)) == (b"4", b"5")
    blobs.remove_folder("v/1")
    blobs.remove_folder("v/none")
    assert paths(blobs) == ["v/2/main"]


def test_the_main_object_of_a_folder_is_written_last_and_removed_first(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, put = ObjectBlobs(object_server.bucket()), ObjectBlobs._put
    seen: list[list[str]] = []

    def watched(blobs: ObjectBlobs, path: str, data: bytes) -> None:
        seen.append(paths(blobs))
        put(blobs, path, data)

    monkeypatch.setattr(ObjectBlobs, "_put", watched)
    for _ in range(2):
        blobs.put_folder("v", {"a": b"1", "b": b"2", "main": b"3"})
        assert paths(blobs) == ["v/a", "v/b", "v/main"]
    assert seen == 2 * [[], ["v/a"], ["v/a", "v/b"]]


def test_only_a_bucket_has_signed_urls(blobs: BlobStore) -> None:
    blobs.put_all({"a/video.mp4": b"0123456789"})
    url = blobs.signed_url("a/video.mp4", 60)
    if isinstance(blobs, DirectoryBlobs):
        assert url is None
        return
    assert url is not None
    request = urllib.request.Request(url, headers={"Range": "bytes=2-4"})
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, answer.read()) == (206, b"234")
        assert answer.headers["Content-Type"] == "video/mp4"


@pytest.fixture
def marked(location: Path | str) -> tuple[BlobStore, Callable[[], None]]:
    """Return blobs with a marker, and a function that takes the marker away."""
    if isinstance(location, Path):
        mark(location)
        blobs = open_blobs(location, is_marked=True)
    else:
        blobs = open_blobs(location, is_marked=True)
        blobs.put_all({MARKER: b""})
    return blobs, lambda: open_blobs(location).remove([MARKER])


def test_without_the_marker_nothing_is_absent(
    marked: tuple[BlobStore, Callable[[], None]],
) -> None:
    blobs, take_away = marked
    assert blobs.read("none", 9) is None
    take_away()
    for look in (
        lambda: blobs.read("none", 9),
        lambda: blobs.open("none"),
        lambda: blobs.exists("none"),
        lambda: blobs.subfolders(""),
    ):
        with pytest.raises(OSError, match=MARKER):
            look()


def test_a_bucket_that_is_gone_is_away_and_not_empty(object_server: ObjectServer) -> None:
    blobs = ObjectBlobs("s3://there-is-none/prefix", is_marked=True)
    for look in (
        lambda: blobs.read("a", 9),
        lambda: blobs.open("a"),
        lambda: blobs.exists("a"),
        lambda: blobs.subfolders(""),
        lambda: list(blobs.walk("")),
        lambda: blobs.put_all({"a": b"1"}),
        lambda: blobs.create("a", b"1"),
    ):
        with pytest.raises(StoreUnreachable, match="s3://there-is-none/prefix"):
            look()


def test_a_store_that_does_not_answer_is_given_up(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in object_server.environment(endpoint).items():
            monkeypatch.setenv(name, value)
        blobs = ObjectBlobs("s3://bucket", timeout_s=0.2)
        with pytest.raises(StoreUnreachable):
            blobs.read("a", 9)
        known = ObjectBlobs("s3://bucket", is_away=lambda: True, timeout_s=1000.0)
        for look in (lambda: known.read("a", 9), lambda: known.put_all({"a": b"1"})):
            with pytest.raises(StoreUnreachable, match="is away"):
                look()


@pytest.mark.parametrize("user", ["", "hidden@", "svc:hidden@"])
def test_an_error_shows_no_user_no_query_and_no_body(user: str) -> None:
    text = (
        f"Error performing GET https://{user}x.blob/c?sv=1&sig=hidden in 3ms - Server returned: "
        "403 Forbidden: <?xml?><Error><Code>AuthenticationFailed</Code><Key>hidden</Key></Error>\n"
        "Debug source: hidden"
    )
    from obstore.exceptions import GenericError

    with pytest.raises(StoreUnreachable) as raised, explained("az://c"):
        raise GenericError(text)
    assert "hidden" not in str(raised.value)
    assert "GET https://x.blob in 3ms" in str(raised.value)
    assert "403 Forbidden (AuthenticationFailed)" in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_something_else_in_a_files_place_is_no_blob(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    for put in (lambda path: path.mkdir(), lambda path: path.symlink_to(tmp_path / "b")):
        place = tmp_path / "a"
        put(place)
        with pytest.raises(NotABlob):
            blobs.open("a")
        remove_tree(place)


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    left = tmp_path / ".unfinished" / ("0" * 32) / "video.mp4"
    left.parent.mkdir(parents=True)
    left.touch()
    assert paths(blobs) == []
    assert [item.path for item in blobs.drafts("")] == [f".unfinished/{'0' * 32}"]
    blobs.remove_folder(f".unfinished/{'0' * 32}")
    assert list((tmp_path / ".unfinished").iterdir()) == []
