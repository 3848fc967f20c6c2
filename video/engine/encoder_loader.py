"""Encoder loader: makes encoders resident in its own threads, so that a cold one delays no other.

A request gets a lease: its encoder stays on the device until the lease is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is imported with the models, not with the engine
    from encoders import EncoderRef
    from encoders.composition import Member
    from encoders.residency import Residency

THREADS = 2
"""Number of loading threads. Reading and hashing mostly release the interpreter's lock."""


@dataclass(frozen=True)
class EncoderLease:
    """Encoders that stay resident until `close` is called; by default none, which is the base."""

    members: tuple[Member, ...] = ()
    close: Callable[[], None] = field(default=lambda: None)


class EncoderLoader:
    """Threads that make encoders resident."""

    def __init__(self, residency: Residency) -> None:
        self._residency = residency
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="encoder-load")

    def hold(self, encoder: EncoderRef | None) -> Future[EncoderLease]:
        """Load an encoder and lease it; the base (None) needs no loading.

        The caller passes the future to `release` in the end.

        Returns:
            A future of the lease. It fails with EncoderNotFound if the encoder was deleted, with
            EncoderInvalid if it was replaced or damaged after the request was accepted, and with
            MemberUnusable if that happened to a member of a composite. There is no fallback to the
            base, nor to a part of a set.
        """
        if encoder is None:
            base: Future[EncoderLease] = Future()
            base.set_result(EncoderLease())
            return base
        return self._pool.submit(self._load, encoder)

    def stop(self) -> None:
        """Cancel what has not started, and end the threads once the rest has finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, encoder: EncoderRef) -> EncoderLease:
        stack = ExitStack()
        members = stack.enter_context(self._residency.use(encoder))
        return EncoderLease(members, stack.close)


def release(lease: Future[EncoderLease]) -> None:
    """Close a lease: now, or once its encoder is loaded."""

    def close(done: Future[EncoderLease]) -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().close()

    lease.add_done_callback(close)
