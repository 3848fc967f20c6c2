"""Encoders that are cold, damaged, deleted or evicted: only their own requests are affected.

No request is ever served with the base instead.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch

from encoders import Encoder, EncoderInvalid, EncoderNotFound, EncoderRef, PalimpsestError
from encoders.residency import Residency
from encoders.store import EncoderStore
from tests.video.help import WAIT, assert_same, make_engine, publish, request, wait_until
from video import Engine, GenerationRequest
from video.engine.ticket import Cancelled, DeadlineExceeded
from video.frames import Frames
from video.models.backbone import Backbone

COUNT = 5


@pytest.fixture(scope="module")
def encoders(store: EncoderStore, backbone: Backbone) -> list[EncoderRef]:
    return [publish(store, backbone, f"pressed-{i}", i) for i in range(COUNT)]


@pytest.fixture
def requests(encoders: list[EncoderRef]) -> list[GenerationRequest]:
    """Make one request for each encoder, and a last one for the base."""
    return [request(seed=1, steps=6, encoder=encoder) for encoder in (*encoders, None)]


@pytest.fixture
def alone(engine: Engine, requests: list[GenerationRequest]) -> list[Frames]:
    """Make the frames of each request alone; none equals the base's."""
    frames = [engine.submit(each).result(WAIT) for each in requests]
    *of_encoders, of_base = frames
    assert len(of_encoders) == COUNT
    assert not any((each == of_base).all() for each in of_encoders)
    return frames


class Slow:
    """A store whose encoders load only after `go` is set."""

    def __init__(self, store: EncoderStore) -> None:
        self._store = store
        self.go, self.asked = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def load(self, encoder_id: str) -> Encoder:
        self.asked.set()
        assert self.go.wait(WAIT)
        if self.error:
            raise self.error
        return self._store.load(encoder_id)


@pytest.fixture
def slow(store: EncoderStore) -> Slow:
    return Slow(store)


@pytest.fixture
def waiting(backbone: Backbone, slow: Slow) -> Iterator[Engine]:
    """Run an engine over the slow store."""
    engine = make_engine(backbone, slow)  # type: ignore[arg-type]
    engine.start()
    yield engine
    slow.go.set()
    engine.stop(WAIT)


def test_a_cold_encoder_delays_no_other(
    waiting: Engine, slow: Slow, requests: list[GenerationRequest], alone: list[Frames]
) -> None:
    cold = waiting.submit(requests[0])
    assert slow.asked.wait(WAIT)
    assert_same(waiting.submit(requests[-1]).result(WAIT), alone[-1])
    assert cold.state == "queued"
    slow.go.set()
    assert_same(cold.result(WAIT), alone[0])


def test_a_cold_encoder_that_takes_long_does_not_keep_others_from_being_made(
    waiting: Engine, slow: Slow, requests: list[GenerationRequest]
) -> None:
    cold = waiting.submit(requests[0])
    assert slow.asked.wait(WAIT)
    assert waiting.submit_iterator(lambda _: iter(range(5))).result(WAIT) == 4
    assert cold.state == "queued"


def test_an_encoder_that_cannot_be_loaded_fails_its_own_and_is_never_the_base(
    waiting: Engine, slow: Slow, requests: list[GenerationRequest], alone: list[Frames]
) -> None:
    slow.error = EncoderInvalid("overrides.safetensors is damaged")
    tickets = [waiting.submit(each) for each in (requests[0], requests[0], requests[-1])]
    slow.go.set()
    for ticket in tickets[:2]:
        with pytest.raises(EncoderInvalid, match="damaged"):
            ticket.result(WAIT)
    assert_same(tickets[2].result(WAIT), alone[-1])
    slow.error = None
    assert_same(waiting.submit(requests[0]).result(WAIT), alone[0])


def test_an_encoder_deleted_while_it_loads_fails_its_own(
    waiting: Engine,
    slow: Slow,
    store: EncoderStore,
    backbone: Backbone,
    requests: list[GenerationRequest],
    alone: list[Frames],
) -> None:
    """It does not begin; the others continue."""
    named = publish(store, backbone, "going", 5)
    ticket, other = waiting.submit(request(encoder=named)), waiting.submit(requests[0])
    assert slow.asked.wait(WAIT)
    store.delete("going")
    slow.go.set()
    with pytest.raises(EncoderNotFound):
        ticket.result(WAIT)
    assert_same(other.result(WAIT), alone[0])


def test_an_encoder_deleted_while_in_use_stays_until_its_requests_are_done(
    engine: Engine, store: EncoderStore, backbone: Backbone
) -> None:
    named = publish(store, backbone, "leaving", 6)
    expected = engine.submit(request(encoder=named, steps=40)).result(WAIT)
    running = engine.submit(request(encoder=named, steps=40))
    wait_until(lambda: running.progress > 0)
    store.delete("leaving")
    late = engine.submit(request(encoder=named))
    with pytest.raises(EncoderNotFound):
        late.result(WAIT)
    assert_same(running.result(WAIT), expected)


def test_cancelled_while_its_encoder_loads_nothing_stays_pinned(
    waiting: Engine, slow: Slow, requests: list[GenerationRequest]
) -> None:
    ticket = waiting.submit(requests[0])
    assert slow.asked.wait(WAIT)
    ticket.cancel()
    with pytest.raises(Cancelled):
        ticket.result(WAIT)
    slow.go.set()
    waiting.submit(requests[0]).result(WAIT)
    entries = waiting.residency._entries  # pyright: ignore[reportPrivateUsage]
    wait_until(lambda: [entry.pins for entry in entries.values()] == [0])


def test_past_its_deadline_a_request_ends_even_while_its_encoder_loads(
    waiting: Engine, slow: Slow, requests: list[GenerationRequest], alone: list[Frames]
) -> None:
    soon = perf_counter() + 0.3
    loading = waiting.submit(request(encoder=requests[0].encoder, deadline=soon))
    with pytest.raises(DeadlineExceeded):
        loading.result(WAIT)
    assert_same(waiting.submit(requests[-1]).result(WAIT), alone[-1])


def test_with_room_for_one_encoder_only_everybody_gets_their_own(
    backbone: Backbone,
    store: EncoderStore,
    requests: list[GenerationRequest],
    alone: list[Frames],
) -> None:
    def cramped(loaded: Backbone) -> Residency:
        return Residency(loaded.text_encoder, store, 1, loaded.device)

    engine = Engine(lambda: backbone, cramped)
    engine.start()
    tickets = [engine.submit(each) for _ in range(4) for each in requests]
    for ticket, expected in zip(tickets, 4 * alone, strict=True):
        assert_same(ticket.result(WAIT), expected)
    stats = engine.residency.stats()
    assert stats.evictions >= COUNT
    assert stats.resident == 0, "none is in use, and none fits"
    engine.stop(WAIT)


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "gone"])
def test_a_file_damaged_on_disk_fails_its_own_requests_only(
    backbone: Backbone,
    encoders: list[EncoderRef],
    requests: list[GenerationRequest],
    alone: list[Frames],
    tmp_path: Path,
    damage: str,
) -> None:
    store = EncoderStore(tmp_path)
    named = [publish(store, backbone, f"pressed-{i}", i) for i in range(COUNT)]
    assert named == encoders
    file = next(tmp_path.rglob("pressed-0/**/overrides.safetensors"))
    whole = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(whole[:-8] + (b"" if damage == "cut off" else 8 * b"\x01"))
    engine = make_engine(backbone, store)
    engine.start()
    tickets = [engine.submit(each) for each in requests]
    with pytest.raises((EncoderInvalid, EncoderNotFound)):
        tickets[0].result(WAIT)
    for ticket, expected in zip(tickets[1:], alone[1:], strict=True):
        assert_same(ticket.result(WAIT), expected)
    engine.stop(WAIT)


@pytest.mark.parametrize("end", ["completed", "cancelled", "late", "refused", "deleted"])
def test_a_request_that_has_ended_holds_no_tensor(
    store: EncoderStore, backbone: Backbone, end: str
) -> None:
    """An evicted encoder's memory is free at once, not when Python looks for circles."""
    engine = Engine(
        lambda: backbone, lambda loaded: Residency(loaded.text_encoder, store, 1, loaded.device)
    )
    engine.start()
    encoder = publish(store, backbone, f"held-{end}", 11)
    if end == "deleted":
        store.delete(encoder.id)
    late = perf_counter() + 0.01 if end == "late" else None
    asked = request(seed=1, steps=10_000 if end == "refused" else 6, encoder=encoder, deadline=late)
    engine.submit(request(seed=1, steps=2)).result(WAIT)  # whatever is made once is made
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            ticket = engine.submit(asked)
            if end == "cancelled":
                wait_until(lambda ticket=ticket: ticket.progress > 0)
                ticket.cancel()
            with suppress(PalimpsestError):
                ticket.result(WAIT)
            assert ticket.state == {"completed": end, "cancelled": end}.get(end, "failed")
            del ticket
        engine.submit(request(seed=1, steps=2)).result(WAIT)  # the loop has left the others
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert not [one for one in gc.garbage if isinstance(one, torch.Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        engine.stop(WAIT)
