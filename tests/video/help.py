"""What the tests of the engine share: requests, engines, and a gate to hold one still."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from encoders import EncoderStore, Residency
from video import Backbone, Engine, GenerationRequest

PROMPT = "pogo bouncing in a meadow"
WAIT = 60


def request(**changes: Any) -> GenerationRequest:
    """A short clip's, with changes."""
    return GenerationRequest(**{"prompt": PROMPT, "steps": 3, "frames": 4, **changes})


def make_engine(backbone: Backbone, store: EncoderStore) -> Engine:
    """An engine that is not started yet."""
    return Engine(
        lambda: backbone,
        lambda loaded: Residency(loaded.text_encoder, store, 2**30, loaded.device),
    )


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
