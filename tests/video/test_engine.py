"""Engine: its results, their order, and the encoder of each."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders import EncoderInvalid, EncoderNotFound, EncoderRef
from encoders.residency import Residency
from encoders.store import EncoderStore
from tests.video.help import WAIT, Gate, assert_same, publish, request, watch
from video import Engine, load_backbone
from video.models.backbone import Backbone
from video.models.native import DenoisingState, denoise_step


@pytest.fixture(scope="module")
def encoders(store: EncoderStore, backbone: Backbone) -> list[EncoderRef]:
    return [publish(store, backbone, f"no-{i}", i) for i in range(2)]


def test_requests_with_different_encoders_in_flight_equal_their_solo_runs(
    engine: Engine, encoders: list[EncoderRef]
) -> None:
    requests = [
        request(encoder=encoders[0], seed=1),
        request(encoder=encoders[1], seed=1, steps=5),
        request(encoder=None, seed=1, guidance=1.0),
        request(encoder=encoders[0], seed=2, frames=None, negative_prompt="a cactus"),
    ]
    solo = [engine.submit(each).result(WAIT) for each in requests]
    gate = Gate(engine)
    tickets = [engine.submit(each) for each in requests]
    assert {ticket.state for ticket in tickets} == {"queued"}
    gate.open()
    for ticket, alone in zip(tickets, solo, strict=True):
        assert_same(ticket.result(WAIT), alone)
    assert solo[0].shape == (4, 64, 64, 3)
    assert solo[3].shape == (1, 64, 64, 3)
    assert not np.array_equal(solo[0], engine.submit(request(seed=1)).result(WAIT))


def test_a_batch_equals_its_members_alone(backbone: Backbone) -> None:
    def start(seed: int, steps: int, done: int) -> DenoisingState:
        tokens = backbone.tokenize(["", f"otto number {seed}"])
        embeddings = torch.cat([backbone.text_encoder.encode(each[None]) for each in tokens])
        denoising = DenoisingState(
            request(seed=seed, steps=steps), backbone.denoiser(is_video=True), embeddings
        )
        for _ in range(done):
            denoise_step([denoising])
        return denoising

    places = [(1, 3, 0), (2, 5, 2), (3, 5, 4)]
    together = [start(*place) for place in places]
    denoise_step(together)
    for denoising, (seed, steps, done) in zip(together, places, strict=True):
        alone = start(seed, steps, done + 1)
        assert denoising.steps_done == alone.steps_done
        torch.testing.assert_close(denoising.latents, alone.latents, atol=1e-5, rtol=0)


def test_progress_rises_to_one(engine: Engine) -> None:
    seen: list[float] = []
    gate = Gate(engine)
    ticket = engine.submit(request(steps=4))
    ended = watch(ticket, seen.append)
    gate.open()
    assert ended.wait(WAIT)
    assert seen == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert (ticket.state, ticket.progress) == ("completed", 1.0)


def test_a_missing_encoder_fails_and_never_falls_back(
    engine: Engine, store: EncoderStore, backbone: Backbone
) -> None:
    name = "short-lived"
    asked = request(encoder=publish(store, backbone, name, 9))
    engine.submit(asked).result(WAIT)
    store.delete(name)
    with pytest.raises(EncoderNotFound):  # although it is resident and its embeddings are kept
        engine.submit(asked).result(WAIT)
    publish(store, backbone, name, 10)
    with pytest.raises(EncoderInvalid):  # the same name, another encoder
        engine.submit(asked).result(WAIT)


def test_an_encoder_is_pinned_for_as_long_as_its_request_runs(
    backbone: Backbone, store: EncoderStore, encoders: list[EncoderRef]
) -> None:
    small = Engine(
        lambda: backbone, lambda loaded: Residency(loaded.text_encoder, store, 1, loaded.device)
    )
    small.start()
    seen: list[int] = []
    gate = Gate(small)
    ticket = small.submit(request(encoder=encoders[0]))
    ended = watch(ticket, lambda _: seen.append(small.residency.resident_bytes))
    gate.open()
    assert ended.wait(WAIT)
    *running, last = seen
    assert len(running) == 4, "at its beginning and after three steps"
    assert min(running) > 0
    assert last == 0
    assert small.residency.resident_bytes == 0
    small.stop(WAIT)


def test_an_iterator_is_stepped_between_denoising_steps(engine: Engine) -> None:
    events: list[str] = []

    def items(_: Backbone) -> Iterator[int]:
        for i in range(5):
            time.sleep(0.001)
            yield i

    gate = Gate(engine)
    iterator = engine.submit_iterator(items, lambda i: events.append("iterator"))
    ticket = engine.submit(request(steps=60))
    watch(ticket, lambda _: events.append("video"))
    gate.open()
    ticket.result(WAIT)
    assert iterator.result(WAIT) == 4
    assert "iterator" in events[: events.index("video") + 60]
    first = events.index("iterator")
    assert "video" in events[first:], "the video waited until the iterator was done"


@pytest.mark.parametrize("end", ["done", "cancelled", "failed"])
def test_what_an_iterator_holds_is_let_go_of_when_it_ends(engine: Engine, end: str) -> None:
    """An optimiser's state is large, and the next clip needs the memory."""
    held: list[weakref.ref[torch.Tensor]] = []

    def items(_: Backbone) -> Iterator[int]:
        state = torch.zeros(1000)
        held.append(weakref.ref(state))
        yield len(state)
        if end == "failed":
            raise ValueError("injected")
        yield from range(10_000 if end == "cancelled" else 1)

    begun = threading.Event()
    ticket = engine.submit_iterator(items, lambda _: begun.set())
    assert begun.wait(WAIT)
    if end == "cancelled":
        ticket.cancel()
    assert watch(ticket, lambda _: None).wait(WAIT)
    assert ticket.state == end.replace("done", "completed")
    engine.submit(request(steps=1)).result(WAIT)  # the loop has gone on since
    del ticket
    gc.collect()
    assert held[0]() is None


def test_many_requests_from_many_threads(engine: Engine, encoders: list[EncoderRef]) -> None:
    requests = [
        request(seed=i, steps=1 + i % 3, frames=2, encoder=[None, *encoders][i % 3])
        for i in range(12)
    ]
    solo = [engine.submit(each).result(WAIT) for each in requests]
    results: dict[int, np.ndarray] = {}

    def ask(i: int) -> None:
        results[i] = engine.submit(requests[i]).result(WAIT)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    for i, alone in enumerate(solo):
        assert_same(results[i], alone)
    stats = engine.stats()
    assert stats.in_flight == 0
    assert stats.steps == 2 * sum(each.steps for each in requests)
    assert 0 < stats.denoise_seconds <= stats.busy_seconds


def test_the_base_is_bit_identical_after_swaps(backbone: Backbone, tiny_backbone_dir: Path) -> None:
    fresh = load_backbone(tiny_backbone_dir).text_encoder.parameters()
    for name, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, fresh[name]), name
