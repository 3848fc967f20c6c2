"""Batches: requests that share their steps, and stay independent of each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import pytest
import torch

from encoders import EncoderRef
from encoders.store import EncoderStore
from tests.video.help import WAIT, Flaky, Gate, assert_same, make_engine, publish, request, watch
from video import Engine, GenerationRequest
from video.engine.ticket import Cancelled, DeadlineExceeded, Ticket
from video.frames import Frames
from video.models.backbone import Backbone
from video.models.native import DenoisingState


@pytest.fixture(scope="module")
def encoders(store: EncoderStore, backbone: Backbone) -> list[EncoderRef]:
    return [publish(store, backbone, f"without-{i}", i) for i in range(2)]


@pytest.fixture
def requests(encoders: list[EncoderRef]) -> list[GenerationRequest]:
    """Make requests that have only their shape in common."""
    return [
        request(seed=1, encoder=encoders[0], steps=24),
        request(seed=2, encoder=encoders[1], steps=27),
        request(seed=3, guidance=1.0, steps=25),
        request(seed=4, negative_prompt="a cactus", guidance=6.0, prompt="otto", steps=23),
    ]


@pytest.fixture
def alone(engine: Engine, requests: list[GenerationRequest]) -> list[Frames]:
    """Make the frames of each request alone."""
    return [engine.submit(each).result(WAIT) for each in requests]


def at_once(
    engine: Engine,
    requests: list[GenerationRequest],
    listen: Callable[[int, float], None] = lambda *_: None,
) -> list[Ticket[Frames]]:
    """Submit all requests together; `listen` gets a request's index and progress."""
    gate = Gate(engine)
    tickets = [engine.submit(each) for each in requests]
    for i, ticket in enumerate(tickets):
        watch(ticket, partial(listen, i))
    gate.open()
    return tickets


def test_a_mixed_batch_gives_each_what_it_gets_alone(
    backbone: Backbone,
    store: EncoderStore,
    requests: list[GenerationRequest],
    alone: list[Frames],
) -> None:
    counted = Flaky(backbone)
    engine = make_engine(counted, store, at_most=8)  # type: ignore[arg-type]
    engine.start()
    tickets = at_once(engine, requests)
    for ticket, expected in zip(tickets, alone, strict=True):
        assert_same(ticket.result(WAIT), expected)
    assert max(counted.samples) == 7, "two samples each, one without guidance"
    assert len(counted.samples) <= 50, "99 steps between them"
    engine.stop(WAIT)


def test_a_batch_that_does_not_fit_is_halved_and_none_loses_a_step(
    backbone: Backbone,
    store: EncoderStore,
    requests: list[GenerationRequest],
    alone: list[Frames],
) -> None:
    def fails(call: int, samples: int) -> Exception | None:
        return torch.OutOfMemoryError("no room") if samples > 4 else None

    small = Flaky(backbone, fails)
    engine = make_engine(small, store, at_most=8)  # type: ignore[arg-type]
    engine.start()
    seen: list[float] = []
    tickets = at_once(
        engine, requests, lambda i, progress: seen.append(progress) if not i else None
    )
    for ticket, expected in zip(tickets, alone, strict=True):
        assert_same(ticket.result(WAIT), expected)
    engine.stop(WAIT)
    assert seen == pytest.approx([i / 25 for i in range(26)])
    assert max(small.samples) > 4
    assert small.samples[-1] <= 4


def test_one_that_breaks_the_step_ends_alone(
    backbone: Backbone,
    store: EncoderStore,
    requests: list[GenerationRequest],
    alone: list[Frames],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = DenoisingState.inputs

    def broken(self: DenoisingState) -> Any:
        if self.steps == 27 and self.steps_done == 9:
            raise ValueError("bad step")
        return inputs(self)

    monkeypatch.setattr(DenoisingState, "inputs", broken)
    engine = make_engine(backbone, store, at_most=8)
    engine.start()
    tickets = at_once(engine, requests)
    with pytest.raises(ValueError, match="bad step"):
        tickets[1].result(WAIT)
    for i in (0, 2, 3):
        assert_same(tickets[i].result(WAIT), alone[i])
    engine.stop(WAIT)


def test_one_that_is_cancelled_leaves_the_batch_and_the_rest_goes_on(
    backbone: Backbone,
    store: EncoderStore,
    requests: list[GenerationRequest],
    alone: list[Frames],
) -> None:
    engine = make_engine(backbone, store, at_most=8)
    engine.start()
    seen: list[float] = []
    there = threading.Event()

    def cancel(i: int, progress: float) -> None:
        if i == 1 and progress > 0:
            assert there.wait(WAIT)
            if not tickets[1].cancel_requested:
                seen.append(progress)
                tickets[1].cancel()

    tickets = at_once(engine, requests, cancel)
    there.set()
    with pytest.raises(Cancelled):
        tickets[1].result(WAIT)
    assert len(seen) == 1
    for i in (0, 2, 3):
        assert_same(tickets[i].result(WAIT), alone[i])
    engine.stop(WAIT)


def test_past_its_deadline_a_request_ends_and_the_rest_of_its_batch_goes_on(
    backbone: Backbone,
    store: EncoderStore,
    requests: list[GenerationRequest],
    alone: list[Frames],
) -> None:
    engine = make_engine(backbone, store, at_most=8)
    engine.start()
    soon = replace(requests[0], steps=100, deadline=perf_counter() + 0.5)
    running, *others = at_once(engine, [soon, *requests[1:]])
    with pytest.raises(DeadlineExceeded):
        running.result(WAIT)
    assert running.state == "failed"
    assert 0 < running.progress < 1
    for ticket, expected in zip(others, alone[1:], strict=True):
        assert_same(ticket.result(WAIT), expected)
    assert engine.submit(request(deadline=perf_counter() + WAIT)).result(WAIT).shape[0] == 4
    engine.stop(WAIT)


def test_the_time_of_a_shared_step_is_charged_in_equal_parts(
    engine: Engine,
) -> None:
    before = engine.stats()
    tickets = at_once(engine, [request(seed=seed, steps=30) for seed in range(4)])
    for ticket in tickets:
        ticket.result(WAIT)
    engine.submit_iterator(lambda _: iter([1])).result(WAIT)  # so the turns before it are over
    after = engine.stats()
    charged = [ticket.device_seconds for ticket in tickets]
    assert min(charged) > 0
    assert sum(charged) > after.denoise_seconds - before.denoise_seconds
    assert sum(charged) < after.busy_seconds - before.busy_seconds
