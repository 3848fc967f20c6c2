"""What the tests of the engine share: requests, engines, and a gate to hold one still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from encoders import Concept, Encoder
from encoders.residency import Residency
from encoders.store import EncoderStore
from video import Backbone, Engine, GenerationRequest
from video.engine.batching import BatchSizes
from video.engine.scheduler import Scheduler
from video.engine.tasks import Task
from video.models.backbone import Frames

PROMPT = "pogo bouncing in a meadow"
WAIT = 60


def request(**changes: Any) -> GenerationRequest:
    """A short clip's, with changes."""
    return GenerationRequest(**{"prompt": PROMPT, "steps": 3, "frames": 4, **changes})


def make_engine(backbone: Backbone, store: EncoderStore, *, at_most: int | None = None) -> Engine:
    """An engine that is not started yet; with `at_most`, one that takes batches of so many as soon
    as there are.
    """
    return Engine(
        lambda: backbone,
        lambda loaded: Residency(loaded.text_encoder, store, 2**30, loaded.device),
        Scheduler[Task](sizes=AtMost(at_most)) if at_most else None,
    )


class AtMost(BatchSizes):
    """Batches of so many, whatever they take; fewer once they did not fit."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def limit(self, shape: object, among: int) -> int:
        return self.count

    def no_room(self, shape: object, count: int) -> None:
        self.count = min(self.count, count // 2)


class Flaky:
    """A backbone whose denoiser fails where it is told to: `fails` has the call's number and how
    many samples it is for.
    """

    def __init__(
        self, backbone: Backbone, fails: Callable[[int, int], Exception | None] = lambda *_: None
    ) -> None:
        self._backbone, self._fails = backbone, fails
        self.samples: list[int] = []
        """Of every call so far."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def step(self, runs: Sequence[Any]) -> None:
        samples = sum(len(run.inputs()[0]) for run in runs)
        self.samples.append(samples)
        if error := self._fails(len(self.samples), samples):
            raise error
        self._backbone.step(runs)


def publish(store: EncoderStore, backbone: Backbone, name: str, seed: int) -> tuple[str, str]:
    """An encoder whose weights are the base's with noise; returns what a request names it by."""
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
    )
    return name, store.publish(encoder).digest


def assert_same(frames: Frames, others: Frames) -> None:
    """The same clip: in a batch a sum is taken in another order, which may tip a rounding."""
    assert frames.shape == others.shape
    assert np.abs(frames.astype(int) - others.astype(int)).max() <= 1


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
