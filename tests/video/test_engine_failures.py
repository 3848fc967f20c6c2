"""Engine in trouble: failing and cancelled work, a stop, models that are not loaded yet."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import pytest
import torch

from encoders.residency import Residency
from encoders.store import EncoderStore
from tests.video.help import WAIT, Flaky, Gate, assert_same, make_engine, request, wait_until, watch
from video import Engine
from video.engine.ticket import Cancelled, EngineStopped, OutOfMemory, Ticket
from video.generation_request import RequestInvalid
from video.models.backbone import Backbone


def test_a_failing_listener_does_no_harm(engine: Engine) -> None:
    def listen(_: float) -> None:
        raise RuntimeError("not my day")

    gate = Gate(engine)
    ticket = engine.submit(request())
    watch(ticket, listen)
    gate.open()
    assert ticket.result(WAIT).shape == (4, 64, 64, 3)
    assert engine.submit(request()).result(WAIT).shape == (4, 64, 64, 3)


def test_cancelled_between_steps_and_before_the_first(engine: Engine) -> None:
    gate = Gate(engine)
    running = engine.submit(request(steps=50))
    watch(running, lambda progress: running.cancel() if progress else None)
    gate.open()
    with pytest.raises(Cancelled):
        running.result(WAIT)
    assert running.progress == pytest.approx(1 / 51)
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


@pytest.mark.parametrize(
    ("param", "value"), [("steps", 0), ("steps", 101), ("frames", 17), ("seed", -1)]
)
def test_what_the_backbone_cannot_do_is_refused(engine: Engine, param: str, value: int) -> None:
    with pytest.raises(RequestInvalid, match=param) as caught:
        engine.submit(request(**{param: value})).result(WAIT)
    assert caught.value.param == param


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


def test_out_of_memory_is_retried_once_then_fails_one_request(
    backbone: Backbone, store: EncoderStore, engine: Engine
) -> None:
    expected = engine.submit(request()).result(WAIT)

    def fails(call: int, samples: int) -> Exception | None:
        return torch.OutOfMemoryError("no room") if call in (2, 10, 11) else None

    flaky = make_engine(Flaky(backbone, fails), store)  # type: ignore[arg-type]
    flaky.start()
    assert_same(flaky.submit(request()).result(WAIT), expected)  # calls 1 to 4
    flaky.submit(request(steps=5)).result(WAIT)  # calls 5 to 9
    with pytest.raises(OutOfMemory):
        flaky.submit(request()).result(WAIT)
    assert_same(flaky.submit(request()).result(WAIT), expected)
    flaky.stop(WAIT)


def test_an_error_in_a_step_fails_that_request_only(
    backbone: Backbone, store: EncoderStore
) -> None:
    def fails(call: int, samples: int) -> Exception | None:
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
    running = engine.submit(request(steps=100, frames=16))
    queued = engine.submit(request(steps=100, frames=16))
    for ticket in (running, queued):
        ticket.on_change(lambda each=ticket: ended.append(each.state) if each.done() else None)
    wait_until(lambda: running.progress > 0)
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


@pytest.mark.parametrize("is_own_cause", [False, True])
def test_an_error_keeps_no_object_of_the_work_nor_do_its_causes(is_own_cause: bool) -> None:
    class Held:
        pass

    alive: list[weakref.ref[Held]] = []

    def work() -> None:
        held = Held()
        alive.append(weakref.ref(held))
        raise RuntimeError("no room")

    def retried() -> None:
        try:
            work()
        except RuntimeError as error:
            raise (error if is_own_cause else ValueError("asked for too much")) from error

    ticket = Ticket[None]()
    try:
        retried()
    except Exception as error:
        ticket.fail(error)
    assert alive[0]() is None
    with pytest.raises((RuntimeError, ValueError)):
        ticket.result()
