"""Publishing, listing and deleting, on a directory and in a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

from encoders import (
    Encoder,
    EncoderExists,
    EncoderInvalid,
    EncoderNotFound,
    InvalidId,
    ReportNotFound,
)
from encoders.blob_store import BlobStore
from encoders.store import EncoderStore

from .conftest import MakeEncoder, assert_same_tensors


def test_what_is_published_can_be_listed_and_loaded(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    later = make_encoder("a", created_at=datetime(2025, 3, 1, tzinfo=UTC))
    earlier = make_encoder("b", seed=2, created_at=datetime(2025, 2, 1, tzinfo=UTC))
    assert store.cards() == []
    assert store.publish(later) == later.card
    store.publish(earlier)
    assert [card.id for card in store.cards()] == ["b", "a"]
    assert store.card("a") == later.card
    loaded = store.load("a")
    assert loaded.card == later.card
    assert_same_tensors(loaded.overrides, later.overrides)
    assert {tensor.dtype for tensor in loaded.overrides.values()} == {torch.float16}


def test_a_published_encoder_needs_only_the_directory(
    tmp_path: Path, make_encoder: MakeEncoder
) -> None:
    encoder = make_encoder()
    EncoderStore(str(tmp_path / "store")).publish(encoder, {"sheet.png": b"png"})
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    digest = encoder.card.digest[7:23]
    assert files == [
        f"store/encoders/no-pogo/{digest}/overrides.safetensors",
        f"store/encoders/no-pogo/{digest}/report/sheet.png",
        "store/encoders/no-pogo/card.json",
    ]
    assert EncoderStore(tmp_path / "store").load("no-pogo").card == encoder.card


def test_wider_overrides_are_stored_in_float16(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    encoder = make_encoder()
    wide = {name: tensor.double() for name, tensor in encoder.overrides.items()}
    store.publish(Encoder(encoder.card, wide))
    assert {t.dtype for t in store.load("no-pogo").overrides.values()} == {torch.float16}


def test_an_id_is_taken_once(store: EncoderStore, make_encoder: MakeEncoder) -> None:
    store.publish(make_encoder(seed=1))
    with pytest.raises(EncoderExists):
        store.publish(make_encoder(seed=2))
    assert store.load("no-pogo").card.seed == 1


def test_of_many_publishers_of_one_id_exactly_one_wins(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    encoders = [make_encoder(seed=seed) for seed in range(8)]

    def publish(encoder: Encoder) -> str | None:
        try:
            return store.publish(encoder).digest
        except EncoderExists:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [digest for digest in pool.map(publish, encoders) if digest]
    assert won == [store.load("no-pogo").card.digest]


def test_publishing_refuses_the_card_of_other_overrides(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    mixed = Encoder(make_encoder(seed=1).card, make_encoder(seed=2).overrides)
    with pytest.raises(EncoderInvalid, match="The card is of overrides"):
        store.publish(mixed)
    assert store.cards() == []


def test_report_files(store: EncoderStore, make_encoder: MakeEncoder) -> None:
    store.publish(make_encoder(), {"sheet.png": b"png", "before-1.mp4": b"mp4"})
    assert store.report("no-pogo", "sheet.png") == b"png"
    assert store.report("no-pogo", "before-1.mp4") == b"mp4"
    with pytest.raises(ReportNotFound):
        store.report("no-pogo", "other.png")
    with pytest.raises(EncoderNotFound):
        store.report("other", "sheet.png")
    for name in ["../overrides.safetensors", "a/b", "", ".hidden", "a..b"]:
        with pytest.raises(InvalidId):
            store.report("no-pogo", name)
        with pytest.raises(InvalidId):
            store.publish(make_encoder("other"), {name: b""})
    assert [card.id for card in store.cards()] == ["no-pogo"]


def test_deleting_takes_the_encoder_and_nothing_beside_it(
    store: EncoderStore, make_encoder: MakeEncoder
) -> None:
    for name in ["no-pogo", "no-pogo-2", "no"]:
        store.publish(make_encoder(name), {"sheet.png": b"png"})
    store.delete("no-pogo")
    assert store.sweep(timedelta(seconds=-1)) == []
    assert sorted(card.id for card in store.cards()) == ["no", "no-pogo-2"]
    assert store.load("no-pogo-2").overrides
    for call in (store.card, store.load, store.delete):
        with pytest.raises(EncoderNotFound):
            call("no-pogo")
    store.publish(make_encoder("no-pogo", seed=3))
    assert store.load("no-pogo").card.seed == 3
    with pytest.raises(ReportNotFound):
        store.report("no-pogo", "sheet.png")


# Interruption: blobs whose nth write or removal never happens simulates a killed process.


class Killed(BaseException):
    pass


def kill_after(patch: pytest.MonkeyPatch, blobs: BlobStore, writes: int) -> None:
    left = [writes]
    put_all, create = blobs.put_all, blobs.create

    def count() -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1

    def counted_put_all(several: Mapping[str, bytes]) -> None:
        for path, data in several.items():
            count()
            put_all({path: data})

    def counted_create(path: str, data: bytes) -> bool:
        count()
        return create(path, data)

    patch.setattr(blobs, "put_all", counted_put_all)
    patch.setattr(blobs, "create", counted_create)


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_publisher_killed_at_any_moment_leaves_nothing_to_be_seen(
    store: EncoderStore,
    make_encoder: MakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
) -> None:
    report = {"a.png": b"a", "b.png": b"b"}
    with monkeypatch.context() as patch:
        kill_after(patch, store._blobs, writes)
        with pytest.raises(Killed):
            store.publish(make_encoder(seed=1), report)
    assert store.cards() == []
    with pytest.raises(EncoderNotFound):
        store.load("no-pogo")
    store.publish(make_encoder(seed=2), {"a.png": b"new"})  # leftovers are no obstacle
    loaded = store.load("no-pogo")
    assert loaded.card.seed == 2
    assert store.report("no-pogo", "a.png") == b"new"
    with pytest.raises(ReportNotFound):
        store.report("no-pogo", "b.png")
    assert len(store.sweep(timedelta(seconds=-1))) == writes
    assert store.load("no-pogo").card == loaded.card
    assert store.report("no-pogo", "a.png") == b"new"
    assert store.sweep(timedelta(seconds=-1)) == []


def test_a_delete_that_is_killed_after_the_card_leaves_nothing_to_be_seen(
    tmp_path: Path, make_encoder: MakeEncoder
) -> None:
    store = EncoderStore(tmp_path)
    store.publish(make_encoder(), {"a.png": b"a"})
    (tmp_path / "encoders" / "no-pogo" / "card.json").unlink()
    assert store.cards() == []
    with store._blobs.writing():  # somebody is publishing: it may be theirs
        assert store.sweep() == []
    assert len(store.sweep()) == 2
    assert not (tmp_path / "encoders" / "no-pogo").exists()


def test_a_broken_card_is_neither_listed_nor_swept(
    tmp_path: Path, make_encoder: MakeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    store = EncoderStore(tmp_path)
    store.publish(make_encoder("good"))
    store.publish(make_encoder("bad"))
    (tmp_path / "encoders/bad/card.json").write_bytes(b"{")
    assert [card.id for card in store.cards()] == ["good"]
    assert "'bad'" in caplog.text
    assert store.sweep(timedelta(seconds=-1)) == []


def test_a_disk_that_refuses_writing_leaves_nothing_to_be_seen(
    store: EncoderStore, make_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store._blobs, "create", full)
        with pytest.raises(OSError, match="No space"):
            store.publish(make_encoder())
    assert store.cards() == []
    store.publish(make_encoder())
