"""The loop: what comes out, in which order, and what happens when something goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from encoders import (
    Card,
    Concept,
    Encoder,
    EncoderInvalid,
    EncoderNotFound,
    EncoderStore,
    Residency,
)
from encoders.digest import digest, fingerprint
from video import (
    Backbone,
    Cancelled,
    Engine,
    EngineStopped,
    GenerationRequest,
    OutOfMemory,
    RequestInvalid,
    load_backbone,
)
from video.denoising import Denoising, step

PROMPT = "pogo bouncing in a meadow"
WAIT = 60


def request(**changes: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": PROMPT, "steps": 3, "frames": 4, **changes})


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EncoderStore:
    return EncoderStore(str(tmp_path_factory.mktemp("store")))


def publish(store: EncoderStore, backbone: Backbone, name: str, seed: int) -> tuple[str, str]:
    """An encoder whose weights are the base's with noise; returns what a request names it by."""
    torch.manual_seed(seed)
    base = backbone.text_encoder.parameters()
    overrides = {
        parameter: tensor + 0.5 * torch.randn_like(tensor)
        for parameter, tensor in base.items()
        if "mlp" in parameter
    }
    overrides = backbone.text_encoder.effective(overrides)
    card = Card(
        id=name,
        concepts=(Concept(name="pogo", kind="character"),),
        method="test",
        seed=seed,
        base=backbone.text_encoder.fingerprint,
        digest=digest(base, overrides),
        stored=fingerprint(overrides),
        created_at=datetime.now(UTC),
    )
    store.publish(Encoder(card, overrides))
    return name, card.digest


@pytest.fixture(scope="module")
def encoders(store: EncoderStore, backbone: Backbone) -> list[tuple[str, str]]:
    return [publish(store, backbone, f"no-{i}", i) for i in range(2)]


def make_engine(backbone: Backbone, store: EncoderStore) -> Engine:
    return Engine(
        lambda: backbone,
        lambda loaded: Residency(loaded.text_encoder, store, 2**30, loaded.device),
    )


@pytest.fixture
def engine(backbone: Backbone, store: EncoderStore) -> Iterator[Engine]:
    engine = make_engine(backbone, store)
    engine.start()
    engine.wait_ready(WAIT)
    yield engine
    engine.stop(WAIT)


class Gate:
    """An iterator that holds the loop still until it is opened, so that work can pile up."""

    def __init__(self, engine: Engine) -> None:
        self._open, entered = threading.Event(), threading.Event()

        def items(_: Backbone) -> Iterator[int]:
            entered.set()
            self._open.wait(WAIT)
            yield 0

        engine.submit_iterator(items)
        assert entered.wait(WAIT)

    def open(self) -> None:
        self._open.set()


def test_requests_with_different_encoders_in_flight_equal_their_solo_runs(
    engine: Engine, encoders: list[tuple[str, str]]
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
        np.testing.assert_array_equal(ticket.result(WAIT), alone)
    assert solo[0].shape == (4, 64, 64, 3)
    assert solo[3].shape == (1, 64, 64, 3)
    assert not np.array_equal(solo[0], engine.submit(request(seed=1)).result(WAIT))


def test_a_batch_equals_its_members_alone(backbone: Backbone) -> None:
    def start(seed: int, steps: int, done: int) -> Denoising:
        tokens = backbone.tokenize(["", f"otto number {seed}"])
        embeddings = torch.cat([backbone.text_encoder.encode(each[None]) for each in tokens])
        denoising = Denoising(request(seed=seed, steps=steps), backbone, embeddings)
        for _ in range(done):
            step(backbone, [denoising])
        return denoising

    places = [(1, 3, 0), (2, 5, 2), (3, 5, 4)]
    together = [start(*place) for place in places]
    step(backbone, together)
    for denoising, (seed, steps, done) in zip(together, places, strict=True):
        alone = start(seed, steps, done + 1)
        assert denoising.step == alone.step
        torch.testing.assert_close(denoising.latents, alone.latents, atol=1e-5, rtol=0)


def test_progress_rises_to_one(engine: Engine) -> None:
    seen: list[float] = []
    ticket = engine.submit(request(steps=4), seen.append)
    ticket.result(WAIT)
    assert seen == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert (ticket.state, ticket.progress) == ("completed", 1.0)


def test_a_failing_listener_does_no_harm(engine: Engine) -> None:
    def listen(_: float) -> None:
        raise RuntimeError("not my day")

    assert engine.submit(request(), listen).result(WAIT).shape == (4, 64, 64, 3)


def test_cancelled_between_steps_and_before_the_first(engine: Engine) -> None:
    steps: list[float] = []

    def listen(progress: float) -> None:
        steps.append(progress)
        running.cancel()

    running = engine.submit(request(steps=50), listen)
    with pytest.raises(Cancelled):
        running.result(WAIT)
    assert len(steps) == 1
    assert running.state == "cancelled"
    gate = Gate(engine)
    queued = engine.submit(request())
    queued.cancel()
    gate.open()
    with pytest.raises(Cancelled):
        queued.result(WAIT)
    assert queued.progress == 0
    done = engine.submit(request())
    done.result(WAIT)
    done.cancel()
    assert done.state == "completed"


def test_a_missing_encoder_fails_and_never_falls_back(
    engine: Engine, store: EncoderStore, backbone: Backbone
) -> None:
    name, its_digest = publish(store, backbone, "short-lived", 9)
    asked = request(encoder=(name, its_digest))
    engine.submit(asked).result(WAIT)
    store.delete(name)
    with pytest.raises(EncoderNotFound):  # although it is resident and its embeddings are kept
        engine.submit(asked).result(WAIT)
    publish(store, backbone, name, 10)
    with pytest.raises(EncoderInvalid):  # the same name, another encoder
        engine.submit(asked).result(WAIT)


def test_an_encoder_is_pinned_for_as_long_as_its_request_runs(
    backbone: Backbone, store: EncoderStore, encoders: list[tuple[str, str]]
) -> None:
    small = Engine(
        lambda: backbone, lambda loaded: Residency(loaded.text_encoder, store, 1, loaded.device)
    )
    small.start()
    seen: list[int] = []
    ticket = small.submit(
        request(encoder=encoders[0]), lambda _: seen.append(small.residency.resident_bytes)
    )
    ticket.result(WAIT)
    assert all(seen)
    assert small.residency.resident_bytes == 0
    small.stop(WAIT)


@pytest.mark.parametrize(
    ("param", "value"), [("steps", 0), ("steps", 101), ("frames", 17), ("seed", -1)]
)
def test_what_the_backbone_cannot_do_is_refused(engine: Engine, param: str, value: int) -> None:
    with pytest.raises(RequestInvalid, match=param) as caught:
        engine.submit(request(**{param: value})).result(WAIT)
    assert caught.value.param == param


def test_an_iterator_is_stepped_between_denoising_steps(engine: Engine) -> None:
    events: list[str] = []

    def items(_: Backbone) -> Iterator[int]:
        for i in range(5):
            time.sleep(0.001)
            yield i

    gate = Gate(engine)
    iterator = engine.submit_iterator(items, lambda i: events.append("iterator"))
    ticket = engine.submit(request(steps=60), lambda _: events.append("video"))
    gate.open()
    ticket.result(WAIT)
    assert iterator.result(WAIT) == 4
    assert "iterator" in events[: events.index("video") + 60]
    first = events.index("iterator")
    assert "video" in events[first:], "the video waited until the iterator was done"


def test_a_failing_iterator_fails_alone(engine: Engine) -> None:
    def items(_: Backbone) -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("as ordered")

    gate = Gate(engine)
    failing = engine.submit_iterator(items)
    video = engine.submit(request())
    gate.open()
    with pytest.raises(ZeroDivisionError, match="as ordered"):
        failing.result(WAIT)
    assert failing.state == "failed"
    assert video.result(WAIT).shape == (4, 64, 64, 3)


def test_cancelling_an_iterator_closes_it(engine: Engine) -> None:
    closed = threading.Event()

    def items(_: Backbone) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ticket = engine.submit_iterator(items, lambda _: ticket.cancel())
    with pytest.raises(Cancelled):
        ticket.result(WAIT)
    assert closed.is_set()


class Flaky:
    """A backbone whose denoiser fails on the calls it is told to."""

    def __init__(self, backbone: Backbone, fails: Callable[[int], Exception | None]) -> None:
        self._backbone, self._fails, self._calls = backbone, fails, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def denoise(self, *arguments: Any) -> torch.Tensor:
        self._calls += 1
        if error := self._fails(self._calls):
            raise error
        return self._backbone.denoise(*arguments)


def test_out_of_memory_is_retried_once_then_fails_one_request(
    backbone: Backbone, store: EncoderStore, engine: Engine
) -> None:
    expected = engine.submit(request()).result(WAIT)

    def fails(call: int) -> Exception | None:
        return torch.OutOfMemoryError("no room") if call in (2, 10, 11) else None

    flaky = make_engine(Flaky(backbone, fails), store)  # type: ignore[arg-type]
    flaky.start()
    np.testing.assert_array_equal(flaky.submit(request()).result(WAIT), expected)  # calls 1 to 4
    flaky.submit(request(steps=5)).result(WAIT)  # calls 5 to 9
    with pytest.raises(OutOfMemory):
        flaky.submit(request()).result(WAIT)
    np.testing.assert_array_equal(flaky.submit(request()).result(WAIT), expected)
    flaky.stop(WAIT)


def test_an_error_in_a_step_fails_that_request_only(
    backbone: Backbone, store: EncoderStore
) -> None:
    def fails(call: int) -> Exception | None:
        return ValueError("bad step") if call == 2 else None

    flaky = make_engine(Flaky(backbone, fails), store)  # type: ignore[arg-type]
    flaky.start()
    with pytest.raises(ValueError, match="bad step"):
        flaky.submit(request()).result(WAIT)
    flaky.submit(request()).result(WAIT)
    assert flaky.ready
    flaky.stop(WAIT)


def test_stop_fails_what_is_left_and_takes_no_more(backbone: Backbone, store: EncoderStore) -> None:
    engine = make_engine(backbone, store)
    engine.start()
    engine.wait_ready(WAIT)
    ended: list[str] = []
    started = threading.Event()
    running = engine.submit(request(steps=100, frames=16), lambda _: started.set())
    queued = engine.submit(request(steps=100, frames=16))
    for ticket in (running, queued):
        ticket.add_done_callback(lambda each: ended.append(each.state))
    started.wait(WAIT)
    engine.stop(WAIT)
    for ticket in (running, queued):
        with pytest.raises(EngineStopped):
            ticket.result(0)
    assert ended == ["failed", "failed"]
    assert not engine.ready
    with pytest.raises(EngineStopped):
        engine.submit(request())


def test_work_given_while_the_models_load_waits_for_them(
    backbone: Backbone, store: EncoderStore
) -> None:
    loaded = threading.Event()

    def load() -> Backbone:
        loaded.wait(WAIT)
        return backbone

    engine = Engine(load, lambda each: Residency(each.text_encoder, store, 2**30, each.device))
    engine.start()
    ticket = engine.submit(request())
    assert not engine.ready
    with pytest.raises(TimeoutError):
        engine.wait_ready(0.01)
    loaded.set()
    assert ticket.result(WAIT).shape == (4, 64, 64, 3)
    engine.stop(WAIT)


def test_models_that_cannot_be_loaded_fail_everything_with_the_reason(store: EncoderStore) -> None:
    def load() -> Backbone:
        raise FileNotFoundError("no weights here")

    engine = Engine(load, lambda each: Residency(each.text_encoder, store, 2**30, each.device))
    ticket = engine.submit(request())
    engine.start()
    with pytest.raises(FileNotFoundError, match="no weights"):
        ticket.result(WAIT)
    with pytest.raises(FileNotFoundError):
        engine.wait_ready(WAIT)
    assert isinstance(engine.error, FileNotFoundError)
    assert not engine.ready
    with pytest.raises(EngineStopped):
        engine.submit(request())


def test_many_requests_from_many_threads(engine: Engine, encoders: list[tuple[str, str]]) -> None:
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
        np.testing.assert_array_equal(results[i], alone)
    stats = engine.stats()
    assert stats.in_flight == 0
    assert stats.steps == 2 * sum(each.steps for each in requests)
    assert 0 < stats.denoise_seconds <= stats.busy_seconds


def test_the_base_is_bit_identical_after_swaps(backbone: Backbone, tiny_backbone_dir: Path) -> None:
    fresh = load_backbone(tiny_backbone_dir).text_encoder.parameters()
    for name, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, fresh[name]), name
