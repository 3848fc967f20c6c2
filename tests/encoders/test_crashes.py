"""Power cuts: whatever was written when it came, there is old or new, and never half."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from encoders import EncoderNotFound
from encoders.atomic_files import make_folder, write_atomically, write_synced
from encoders.store import EncoderStore
from tests.disk import Disk, Write, crashes, lay, recorded

from .conftest import MakeEncoder

REPORT = {"report.html": b"page", "clip.mp4": b"clip" * 50}


def state_of(folder: Path) -> str | None:
    """Return the digest of `no-pogo` if it is whole with its report, None if it is absent."""
    store = EncoderStore(folder)
    cards = store.cards()
    try:
        card = store.load("no-pogo").card
    except EncoderNotFound:
        assert cards == []
        return None
    assert cards == [card]
    assert {name: store.report("no-pogo", name) for name in REPORT} == REPORT
    return card.digest


def states_after(
    root: Path, work: Callable[[], object], patch: pytest.MonkeyPatch, tmp_path: Path
) -> list[tuple[int, str | None]]:
    """Return the state of the store after each crash during `work`; the last ones come after it."""
    before = Disk.of(root)
    with recorded(root, patch) as writes:
        work()
    numbers = itertools.count()
    found: list[tuple[int, str | None]] = []
    for done, tree in crashes(root, writes, before):
        folder = lay(tree, tmp_path / f"crash-{next(numbers)}")
        found.append((len(writes) - done, state_of(folder)))
        check_repaired(folder)
        shutil.rmtree(folder)
    return found


def check_repaired(folder: Path) -> None:
    """Assert that a sweep leaves nothing that belongs to no encoder, and nothing else changed."""
    state = state_of(folder)
    EncoderStore(folder).sweep()
    assert state_of(folder) == state
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == (0 if state is None else 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    EncoderStore(folder)
    return folder


def test_a_publication_is_there_whole_or_not_at_all(
    root: Path, make_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    encoder = make_encoder()
    states = states_after(
        root, lambda: EncoderStore(root).publish(encoder, REPORT), monkeypatch, tmp_path
    )
    digest = encoder.card.digest
    assert {state for _, state in states} == {None, digest}
    assert len(states) > 50
    # Once publish has returned, the encoder survives whatever was not synced.
    assert {state for left, state in states if left == 0} == {digest}


def test_a_publication_over_the_leftovers_of_a_killed_one(
    root: Path, make_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    encoder = make_encoder()
    EncoderStore(root).publish(encoder, REPORT)
    (root / "encoders/no-pogo/card.json").unlink()
    states = states_after(
        root, lambda: EncoderStore(root).publish(encoder, REPORT), monkeypatch, tmp_path
    )
    assert {state for _, state in states} == {None, encoder.card.digest}
    assert {state for left, state in states if left == 0} == {encoder.card.digest}


def test_a_deleted_encoder_is_there_whole_or_not_at_all(
    root: Path, make_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digest = EncoderStore(root).publish(make_encoder(), REPORT).digest
    states = states_after(root, lambda: EncoderStore(root).delete("no-pogo"), monkeypatch, tmp_path)
    assert {state for _, state in states} == {None, digest}
    assert {state for left, state in states if left == 0} == {None}


def test_a_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "making"
    write_atomically(root / "job" / "losses.json", b"[1]")
    before = Disk.of(root)
    with recorded(root, monkeypatch) as writes:
        write_atomically(root / "job" / "losses.json", b"[1, 2]")
        write_atomically(root / "new" / "deep" / "images.npy", b"images")
    seen = [(done, tree) for done, tree in crashes(root, writes, before)]
    assert len(seen) > 20
    assert {tree["job/losses.json"] for _, tree in seen} == {b"[1]", b"[1, 2]"}
    deep = {tree.get("new/deep/images.npy") for _, tree in seen}
    assert deep == {None, b"images"}
    last = [tree for done, tree in seen if done == len(writes)]
    assert {tree["job/losses.json"] for tree in last} == {b"[1, 2]"}
    assert {tree["new/deep/images.npy"] for tree in last} == {b"images"}


# The model of the disk itself


def test_the_recording_notices_what_it_cannot_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    make_folder(root)
    with (
        pytest.raises(AssertionError),
        recorded(root, monkeypatch),
        (root / "file").open("wb") as file,  # not through `os.open`
    ):
        file.write(b"content")


def test_a_crash_loses_what_was_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    make_folder(root)
    before = Disk.of(root)
    with recorded(root, monkeypatch) as writes:
        write_synced(root / "file", b"content")
    last = [tree for done, tree in crashes(root, writes, before) if done == len(writes)]
    assert last == [{"file": b"content"}, {}]  # the name is not synced yet
    unsynced: list[Write] = [write for write in writes if write[0] != "fsync"]
    found = [tree for _, tree in crashes(root, unsynced, Disk())]
    assert {"file": b"con"} in found
