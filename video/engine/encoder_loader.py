"""Encoders on their way to the device, loaded beside the loop: a cold one holds up nobody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from encoders.residency import Residency

THREADS = 2
"""Reading, checking and hashing are mostly outside of the interpreter's lock."""


@dataclass(frozen=True)
class EncoderLease:
    """An encoder that stays resident until it is closed; without one, the base."""

    digest: str | None = None
    overrides: Mapping[str, Tensor] | None = None
    close: Callable[[], None] = field(default=lambda: None)


class EncoderLoader:
    """Makes encoders resident, in threads of its own."""

    def __init__(self, residency: Residency) -> None:
        self._residency = residency
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="encoder-load")

    def hold(self, encoder: tuple[str, str] | None) -> Future[EncoderLease]:
        """An encoder by (id, digest), or None for the base, which is there at once.

        The future fails with EncoderNotFound or EncoderInvalid if it has gone, or is not what it
        was when the request was accepted: there is no falling back to the base. Close what it
        holds.
        """
        if encoder is None:
            base: Future[EncoderLease] = Future()
            base.set_result(EncoderLease())
            return base
        return self._pool.submit(self._load, *encoder)

    def stop(self) -> None:
        """Ends the threads after what they are at; what has not begun is cancelled."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, encoder_id: str, digest: str) -> EncoderLease:
        stack = ExitStack()
        overrides = stack.enter_context(self._residency.use(encoder_id, digest))
        return EncoderLease(digest, overrides, stack.close)


def release(held: Future[EncoderLease]) -> None:
    """Closes what a future holds, as soon as it holds it."""

    def close(done: Future[EncoderLease]) -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().close()

    held.add_done_callback(close)
