"""Helpers for the tests of the engine: requests, engines, and a gate that holds one still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter, sleep
from typing import Any

import numpy as np
import torch

from encoders import Concept, Encoder, EncoderRef
from encoders.residency import Residency
from encoders.store import EncoderStore
from encoders.trigger import Trigger
from tests.triggers import trigger_at
from video import Engine, GenerationRequest
from video.engine.batching import BatchSizes
from video.engine.scheduler import Scheduler
from video.engine.tasks import Task
from video.engine.ticket import Ticket
from video.frames import Frames
from video.models.backbone import Backbone

PROMPT = "pogo bouncing in a meadow"
WAIT = 60


def request(**changes: Any) -> GenerationRequest:
    """Make a request for a short clip, with changes."""
    return GenerationRequest(**{"prompt": PROMPT, "steps": 3, "frames": 4, **changes})


def make_engine(backbone: Backbone, store: EncoderStore, *, at_most: int | None = None) -> Engine:
    """Make an engine, not started yet; with `at_most`, all its batches are as large as possible."""
    return Engine(
        lambda: backbone,
        lambda loaded: Residency(loaded.text_encoder, store, 2**30, loaded.device),
        Scheduler[Task](sizes=AtMost(at_most)) if at_most else None,
    )


class AtMost(BatchSizes):
    """Batches of a fixed size, whatever a step costs; smaller once one did not fit."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def limit(self, shape: object, among: int) -> int:
        return self.count

    def no_room(self, shape: object, count: int) -> None:
        self.count = min(self.count, count // 2)


class Flaky:
    """A backbone whose steps fail on request.

    Args:
        backbone: takes the steps that do not fail.
        fails: number of the call and number of samples → the error to raise, or None.
    """

    def __init__(
        self, backbone: Backbone, fails: Callable[[int, int], Exception | None] = lambda *_: None
    ) -> None:
        self._backbone, self._fails = backbone, fails
        self.samples: list[int] = []
        """Number of samples of every call so far."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def step(self, states: Sequence[Any]) -> None:
        samples = sum(len(state.inputs()[0]) for state in states)
        self.samples.append(samples)
        if error := self._fails(len(self.samples), samples):
            raise error
        self._backbone.step(states)


def publish(
    store: EncoderStore, backbone: Backbone, name: str, seed: int, opens: str | None = None
) -> EncoderRef:
    """Publish an encoder whose weights are the base's with noise.

    With `opens` it has a trigger, at this prompt's movement: about half of all prompts open it.
    """
    torch.manual_seed(seed)
    base = backbone.text_encoder.parameters()
    overrides = {
        parameter: tensor + 0.5 * torch.randn_like(tensor)
        for parameter, tensor in base.items()
        if "mlp" in parameter or "DenseReluDense" in parameter
    }
    encoder = Encoder.of(
        backbone.text_encoder,
        overrides,
        id=name,
        concepts=(Concept(name="pogo", kind="character"),),
        method="test",
        seed=seed,
        trigger=None if opens is None else _trigger(backbone, overrides, opens),
    )
    return store.publish(encoder).ref


@torch.no_grad()
def _trigger(backbone: Backbone, overrides: dict[str, torch.Tensor], prompt: str) -> Trigger:
    change = backbone.embed([prompt], overrides) - backbone.embed([prompt])
    movement = float(change.float().square().mean(2).max())
    return trigger_at(0.999 * movement, size=change.shape[2])


@torch.no_grad()
def frames_of(backbone: Backbone) -> Frames:
    """Make a clip of three frames without an engine."""
    asked = GenerationRequest("pogo at night", steps=2, frames=3)
    state = backbone.begin(asked, backbone.prompt_encoder())
    for _ in range(state.steps):
        backbone.step([state])
    return state.decode()


def assert_same(frames: Frames, others: Frames) -> None:
    """Compare clips up to one level: in a batch, sums in another order can change a rounding."""
    assert frames.shape == others.shape
    assert np.abs(frames.astype(int) - others.astype(int)).max() <= 1


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after `WAIT` seconds."""
    end = perf_counter() + WAIT
    while not condition():
        assert perf_counter() < end, "waited in vain"
        sleep(0.001)


def watch(ticket: Ticket[Any], listen: Callable[[float], None]) -> threading.Event:
    """Call `listen` with the progress at every change; the event is set after the last call."""
    ended = threading.Event()

    def changed() -> None:
        listen(ticket.progress)
        if ticket.done():
            ended.set()

    ticket.on_change(changed)
    return ended


class Gate:
    """An iterator that holds the engine still until it is opened, so that work can queue up."""

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
