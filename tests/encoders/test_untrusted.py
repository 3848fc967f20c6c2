"""Files that were tampered with, truncated, or are of another format than they claim."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from encoders import EncoderDamaged, EncoderInvalid, overrides_file
from encoders.atomic_files import remove_tree
from encoders.digest import fingerprint
from encoders.store import EncoderStore

from .conftest import MakeEncoder


class Bomb:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture
def published(tmp_path: Path, make_encoder: MakeEncoder) -> EncoderStore:
    store = EncoderStore(tmp_path / "store")
    store.publish(make_encoder())
    return store


@pytest.fixture
def overrides_path(published: EncoderStore, tmp_path: Path) -> Path:
    return next((tmp_path / "store").rglob("overrides.safetensors"))


def assert_refused(store: EncoderStore, match: str) -> None:
    with pytest.raises(EncoderInvalid, match=match):
        store.load("no-pogo")


def test_pickles_are_refused_and_not_run(
    published: EncoderStore, overrides_path: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    overrides_path.write_bytes(pickle.dumps(Bomb(ran)))
    assert_refused(published, "safetensors")
    torch.save({"a": Bomb(ran)}, overrides_path)
    assert_refused(published, "safetensors")
    assert not ran.exists()


def test_a_truncated_file_is_refused_wherever_it_was_cut(
    published: EncoderStore, overrides_path: Path
) -> None:
    data = overrides_path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1]:
        overrides_path.write_bytes(data[:length])
        assert_refused(published, "safetensors")
    overrides_path.write_bytes(data + b"\0")
    assert_refused(published, "safetensors")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    published: EncoderStore, overrides_path: Path, position: float, bit: int
) -> None:
    data = overrides_path.read_bytes()
    changed = bytearray(data)
    changed[int(position * len(data))] ^= 1 << bit
    try:
        overrides_path.write_bytes(changed)
        with pytest.raises(EncoderInvalid):
            published.load("no-pogo")
    finally:
        overrides_path.write_bytes(data)
    assert published.load("no-pogo")


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_crashes(data: bytes) -> None:
    with pytest.raises(EncoderInvalid):
        overrides_file.from_bytes(data)


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__"]),
        st.fixed_dictionaries(
            {},
            optional={
                "dtype": st.sampled_from(["F16", "F32", "I64", "BOOL", "X9"]),
                "shape": st.lists(st.integers(-2, 1 << 62), max_size=3),
                "data_offsets": st.lists(st.integers(-9, 1 << 62), max_size=3),
            },
        ),
        max_size=2,
    ),
    st.binary(max_size=16),
)
def test_a_header_that_lies_is_refused(header: dict[str, object], content: bytes) -> None:
    encoded = json.dumps(header).encode()
    data = len(encoded).to_bytes(8, "little") + encoded + content
    with contextlib.suppress(EncoderInvalid):
        assert all(tensor.nbytes <= 16 for tensor in overrides_file.from_bytes(data).values())


def test_sizes_are_bounded(tmp_path: Path, published: EncoderStore, overrides_path: Path) -> None:
    small = EncoderStore(tmp_path / "store", max_overrides_bytes=1000)
    with pytest.raises(EncoderInvalid, match="at most 1000"):
        small.load("no-pogo")
    huge_header = (1 << 20) + 1
    overrides_path.write_bytes(huge_header.to_bytes(8, "little") + b" " * (huge_header + 8))
    assert_refused(published, "header of at most")
    with overrides_path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse: nothing is read
    assert_refused(published, "at most 1073741824")
    (tmp_path / "store/encoders/no-pogo/card.json").write_bytes(b" " * ((1 << 20) + 1))
    assert_refused(published, "at most 1048576")


def test_publishing_is_bounded_too(tmp_path: Path, make_encoder: MakeEncoder) -> None:
    small = EncoderStore(tmp_path / "store", max_overrides_bytes=1000)
    with pytest.raises(EncoderInvalid, match="at most 1000"):
        small.publish(make_encoder())
    assert small.cards() == []


def test_a_compressed_archive_is_refused(published: EncoderStore, overrides_path: Path) -> None:
    with zipfile.ZipFile(overrides_path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", b"\0" * 10_000_000)
    assert_refused(published, "safetensors")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_only_float16_is_read(dtype: torch.dtype) -> None:
    with pytest.raises(EncoderInvalid, match="float16"):
        overrides_file.from_bytes(save({"a": torch.ones(3, dtype=dtype)}))


def test_other_tensors_under_the_same_card_are_refused(
    published: EncoderStore, overrides_path: Path, make_encoder: MakeEncoder
) -> None:
    overrides_path.write_bytes(overrides_file.to_bytes(make_encoder(seed=2).overrides))
    assert_refused(published, "are not the ones it was published with")


def test_a_card_that_points_elsewhere_is_refused(
    published: EncoderStore, tmp_path: Path, make_encoder: MakeEncoder
) -> None:
    path = tmp_path / "store/encoders/no-pogo/card.json"
    path.write_bytes(make_encoder("someone-else").card.to_json())
    assert_refused(published, "belongs to encoder 'someone-else'")
    path.write_bytes(make_encoder(digest=fingerprint({})).card.to_json())
    assert_refused(published, "are missing")


def test_nothing_but_a_file_is_read_as_a_blob(
    published: EncoderStore, overrides_path: Path, tmp_path: Path
) -> None:
    card = tmp_path / "store/encoders/no-pogo/card.json"
    for path, says in ((overrides_path, "are no file"), (card, "something else")):
        whole = path.rename(tmp_path / path.name)
        puts: list[Callable[[], object]] = [
            lambda path=path, whole=whole: path.symlink_to(whole),
            lambda path=path: path.symlink_to(path),
            lambda path=path: os.mkfifo(path),
            lambda path=path: os.mknod(path, stat.S_IFSOCK | 0o600),
            lambda path=path: path.mkdir(),
        ]
        for put in puts:
            put()
            with pytest.raises((EncoderInvalid, EncoderDamaged), match=says):
                published.load("no-pogo")
            remove_tree(path)
        whole.rename(path)
    published.load("no-pogo")
    folder = card.parent.rename(tmp_path / "moved")
    card.parent.symlink_to(folder)
    reopened = EncoderStore(tmp_path / "store")
    with pytest.raises(EncoderDamaged, match="something else"):
        reopened.card("no-pogo")
    assert reopened.cards() == []
