"""Decoding beside the loop: no step waits for it, and its errors stay with their own request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from encoders.store import EncoderStore
from tests.video.help import WAIT, Flaky, assert_same, make_engine, request, wait_until
from video import Engine
from video.engine.ticket import Cancelled
from video.frames import Frames
from video.models.backbone import Backbone
from video.models.generation_state import GenerationState


class Decoding(Flaky):
    """A backbone that calls a function before it decodes, with the number of the call."""

    def __init__(self, backbone: Backbone, before: Callable[[int], None]) -> None:
        super().__init__(backbone)
        self._before, self.calls = before, 0

    def begin(self, *arguments: Any) -> GenerationState:
        state = self._backbone.begin(*arguments)
        decode = state.decode

        def told() -> Frames:
            self.calls += 1
            self._before(self.calls)
            return decode()

        state.decode = told  # type: ignore[method-assign]
        return state


@contextmanager
def decoding(
    backbone: Backbone, store: EncoderStore, before: Callable[[int], None]
) -> Iterator[Engine]:
    engine = make_engine(Decoding(backbone, before), store)  # type: ignore[arg-type]
    engine.start()
    yield engine
    engine.stop(WAIT)


@pytest.fixture
def expected(engine: Engine) -> Frames:
    return engine.submit(request(seed=1)).result(WAIT)


def test_while_one_is_decoded_others_are_begun_and_stepped(
    backbone: Backbone, store: EncoderStore, expected: Frames
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def before(call: int) -> None:
        if call == 1:
            reached.set()
            assert go_on.wait(WAIT)

    with decoding(backbone, store, before) as engine:
        first = engine.submit(request(seed=1))
        assert reached.wait(WAIT)
        second = engine.submit(request(seed=2))
        wait_until(lambda: second.progress > 0.7)  # all its steps, while the first is decoded
        assert not first.done()
        assert first.progress < 1
        go_on.set()
        assert_same(first.result(WAIT), expected)
        second.result(WAIT)


def test_what_does_not_fit_beside_the_steps_is_decoded_in_their_stead(
    backbone: Backbone, store: EncoderStore, expected: Frames
) -> None:
    threads: list[str] = []

    def before(call: int) -> None:
        threads.append(threading.current_thread().name)
        if call == 1:
            raise torch.OutOfMemoryError("injected")

    with decoding(backbone, store, before) as engine:
        assert_same(engine.submit(request(seed=1)).result(WAIT), expected)
    assert threads == ["decode_0", "engine"]


def test_frames_that_cannot_be_decoded_fail_their_own_request(
    backbone: Backbone, store: EncoderStore, expected: Frames
) -> None:
    def before(call: int) -> None:
        if call == 1:
            raise ValueError("injected")

    with decoding(backbone, store, before) as engine:
        first, second = engine.submit(request(seed=7)), engine.submit(request(seed=1))
        with pytest.raises(ValueError, match="injected"):
            first.result(WAIT)
        assert_same(second.result(WAIT), expected)


def test_cancelled_while_it_is_decoded_a_request_ends_at_once(
    backbone: Backbone, store: EncoderStore, expected: Frames
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def before(call: int) -> None:
        if call == 1:
            reached.set()
            assert go_on.wait(WAIT)

    with decoding(backbone, store, before) as engine:
        first = engine.submit(request(seed=7))
        assert reached.wait(WAIT)
        first.cancel()
        with pytest.raises(Cancelled):
            first.result(WAIT)
        go_on.set()
        assert_same(engine.submit(request(seed=1)).result(WAIT), expected)
