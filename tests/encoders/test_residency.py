"""Residency on the device: bytes, pins, one load for each encoder, and refusals."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from encoders import Encoder, EncoderInvalid, EncoderNotFound, EncoderRef
from encoders.digest import fingerprint
from encoders.residency import Residency
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder

from .conftest import MakeEncoder, assert_same_tensors, nudged, tiny_clip


class SlowStore(EncoderStore):
    """A store that records loads; loads of ids in `held` wait until `release` is set."""

    def __init__(self, location: Path) -> None:
        super().__init__(location)
        self.loads: list[str] = []
        self.held: set[str] = set()
        self.release = threading.Event()

    def load(self, encoder_id: str) -> Encoder:
        self.loads.append(encoder_id)
        if encoder_id in self.held:
            assert self.release.wait(20)
        return super().load(encoder_id)


@pytest.fixture
def store(tmp_path: Path) -> SlowStore:
    return SlowStore(tmp_path)


@pytest.fixture
def digests(store: SlowStore, make_encoder: MakeEncoder) -> dict[str, str]:
    """Publish five encoders of equal size, and return id → digest."""
    return {f"e{n}": store.publish(make_encoder(f"e{n}", seed=n)).digest for n in range(5)}


@pytest.fixture
def size(store: SlowStore, digests: dict[str, str]) -> int:
    """Return the bytes of one of them."""
    return sum(t.nbytes for t in EncoderStore.load(store, "e0").overrides.values())


def residency(text_encoder: TextEncoder, store: EncoderStore, capacity: int) -> Residency:
    return Residency(text_encoder, store, capacity, "cpu")


def touch(resident: Residency, digests: dict[str, str], *names: str) -> None:
    for name in names:
        with resident.use(EncoderRef(name, digests[name])):
            pass


def test_encodes_with_what_was_published(
    text_encoder: TextEncoder,
    store: SlowStore,
    digests: dict[str, str],
    make_encoder: MakeEncoder,
    input_ids: Tensor,
) -> None:
    resident = residency(text_encoder, store, 1 << 20)
    with resident.use(EncoderRef("e3", digests["e3"])) as (member,):
        actual = text_encoder.encode(input_ids, member.overrides)
    expected = text_encoder.encode(input_ids, make_encoder("e3", seed=3).overrides)
    assert torch.equal(actual, expected)
    with pytest.raises(TypeError):
        member.overrides["x"] = torch.ones(1)  # type: ignore[index]


def test_least_recently_used_goes_first_and_bytes_are_what_is_held(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str], size: int
) -> None:
    resident = residency(text_encoder, store, 2 * size)
    touch(resident, digests, "e0", "e1", "e0", "e2")  # e1 goes
    assert resident.resident_bytes == 2 * size
    touch(resident, digests, "e0", "e2")
    assert store.loads == ["e0", "e1", "e2"]
    touch(resident, digests, "e1")
    assert store.loads[-1] == "e1"
    stats = resident.stats()
    assert (stats.hits, stats.misses, stats.evictions, stats.resident) == (3, 4, 2, 2)
    assert (stats.resident_bytes, stats.capacity_bytes) == (2 * size, 2 * size)


def test_what_is_in_use_is_never_evicted(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str], size: int
) -> None:
    resident = residency(text_encoder, store, 2 * size)
    first, second, third = (EncoderRef(name, digests[name]) for name in ("e0", "e1", "e2"))
    with resident.use(first) as (held,), resident.use(second):
        touch(resident, digests, "e2", "e3")
        with resident.use(third):
            assert resident.resident_bytes == 3 * size  # over capacity, for as long as needed
        assert resident.resident_bytes == 2 * size
        with resident.use(first) as (again,):
            assert again is held
    assert store.loads.count("e0") == store.loads.count("e1") == 1


def test_an_encoder_larger_than_the_capacity_is_usable_and_not_kept(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str], size: int
) -> None:
    resident = residency(text_encoder, store, size - 1)
    with resident.use(EncoderRef("e0", digests["e0"])) as (member,):
        assert member.overrides
    assert resident.resident_bytes == 0


def test_concurrent_users_of_one_encoder_load_it_once(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str]
) -> None:
    resident = residency(text_encoder, store, 1 << 20)
    store.held = {"e0"}

    def use() -> int:
        with resident.use(EncoderRef("e0", digests["e0"])) as (member,):
            return id(member)

    with ThreadPoolExecutor(8) as pool:
        users = [pool.submit(use) for _ in range(8)]
        time.sleep(0.1)
        store.release.set()
        assert len({user.result(20) for user in users}) == 1
    assert store.loads == ["e0"]
    stats = resident.stats()
    assert (stats.hits, stats.misses) == (7, 1)


def test_a_cold_load_does_not_hold_up_resident_encoders(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str]
) -> None:
    resident = residency(text_encoder, store, 1 << 20)
    touch(resident, digests, "e0")
    store.held = {"e1"}
    with ThreadPoolExecutor(1) as pool:
        cold = pool.submit(touch, resident, digests, "e1")
        while store.loads[-1] != "e1":
            time.sleep(0.001)
        touch(resident, digests, "e0")  # would wait for ever if the load held the lock
        touch(resident, digests, "e2")
        assert not cold.done()
        store.release.set()
        cold.result(20)


def test_a_load_that_fails_fails_every_user_and_is_tried_again(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str], tmp_path: Path
) -> None:
    resident = residency(text_encoder, store, 1 << 20)
    path = next((tmp_path / "encoders/e0").rglob("overrides.safetensors"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    store.held = {"e0"}
    with ThreadPoolExecutor(4) as pool:
        users = [pool.submit(touch, resident, digests, "e0") for _ in range(4)]
        time.sleep(0.05)
        store.release.set()
        for user in users:
            with pytest.raises(EncoderInvalid):
                user.result(20)
    assert resident.resident_bytes == 0
    path.write_bytes(whole)
    touch(resident, digests, "e0")
    assert resident.stats().resident == 1


def test_many_threads_and_a_small_capacity(
    text_encoder: TextEncoder,
    store: SlowStore,
    digests: dict[str, str],
    size: int,
    input_ids: Tensor,
) -> None:
    resident = residency(text_encoder, store, 2 * size)
    # Also in a pool thread: in this one, torch may compute with another number of threads, and the
    # last bits differ.
    with ThreadPoolExecutor(1) as pool:
        expected = dict(
            pool.map(
                lambda name: (
                    name,
                    text_encoder.encode(input_ids, EncoderStore.load(store, name).overrides),
                ),
                digests,
            )
        )

    def use(step: int) -> bool:
        name = f"e{step * 7 % 5}"
        with resident.use(EncoderRef(name, digests[name])) as (member,):
            return torch.equal(text_encoder.encode(input_ids, member.overrides), expected[name])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(use, range(150)))
    assert resident.resident_bytes <= 2 * size


def test_a_deleted_encoder_is_gone_even_if_it_is_resident(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str]
) -> None:
    resident = residency(text_encoder, store, 1 << 20)
    touch(resident, digests, "e0")
    store.delete("e0")
    with pytest.raises(EncoderNotFound):
        touch(resident, digests, "e0")
    with pytest.raises(EncoderNotFound), resident.use(EncoderRef("never-was", digests["e0"])):
        pass


def test_an_id_that_means_another_encoder_now_is_refused(
    text_encoder: TextEncoder, store: SlowStore, digests: dict[str, str], make_encoder: MakeEncoder
) -> None:
    resident = residency(text_encoder, store, 1 << 20)
    touch(resident, digests, "e0")
    store.delete("e0")
    store.publish(make_encoder("e0", seed=99))
    with pytest.raises(EncoderInvalid, match="no longer the one"):
        touch(resident, digests, "e0")


def test_another_base_is_refused(store: SlowStore, digests: dict[str, str]) -> None:
    resident = residency(TextEncoder(tiny_clip(seed=5)), store, 1 << 20)
    with pytest.raises(EncoderInvalid, match="made for another text encoder"):
        touch(resident, digests, "e0")
    assert resident.resident_bytes == 0


@pytest.mark.parametrize("fault", ["unknown", "shape", "noop", "nan", "empty"])
def test_overrides_that_do_not_fit_the_base_are_refused(
    text_encoder: TextEncoder, store: SlowStore, make_encoder: MakeEncoder, fault: str
) -> None:
    name = "text_model.encoder.layers.0.mlp.fc1.bias"
    bias = text_encoder.parameters()[name].half()
    overrides = {
        "unknown": {"text_model.encoder.layers.9.mlp.fc1.bias": bias},
        "shape": {name: bias[:1]},
        "noop": {name: bias},
        "nan": {name: bias * float("nan")},
        "empty": {},
    }[fault]
    card = make_encoder("odd").card.model_copy(update={"stored": fingerprint(overrides)})
    store.publish(Encoder(card, overrides))
    resident = residency(text_encoder, store, 1 << 20)
    with pytest.raises(EncoderInvalid), resident.use(EncoderRef("odd", card.digest)):
        pass
    assert resident.resident_bytes == 0


def test_thousands_of_swaps_leave_the_base_and_the_memory_alone(
    store: SlowStore, digests: dict[str, str], size: int, input_ids: Tensor
) -> None:
    base = TextEncoder(tiny_clip())
    before = {name: tensor.clone() for name, tensor in base.parameters().items()}
    resident = residency(base, store, 3 * size)
    for step in range(1000):
        name = f"e{step % 5}"
        with resident.use(EncoderRef(name, digests[name])) as (member,):
            base.encode(input_ids, member.overrides)
        assert resident.resident_bytes <= 3 * size
    assert_same_tensors(base.parameters(), before)
    assert nudged(base).keys() == member.overrides.keys()
