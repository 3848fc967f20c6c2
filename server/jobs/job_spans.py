"""Spans of the jobs that this process works on: one for each attempt, below its request's span.

The row keeps the request's place in its trace, so the attempt may be another replica's, or come
after a restart.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from server import tracing
from server.logs import TRACE_ID
from server.storage.records import JobRecord, VideoRecord

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from video.engine.ticket import Ticket

OUTCOME = "palimpsest.outcome"
INTERRUPTED = "interrupted"
"""Outcome of an attempt that ended without ending its job: the server stopped, the job was deleted,
or another replica took it up."""

_PART_NAMES = {
    "wait": "wait for the device",
    "load": "load encoder",
    "embed": "encode prompt",
    "denoise": "denoise",
    "decode": "decode",
}


class JobSpans:
    """The spans of the attempts under way. Without tracing there are none, and nothing is done."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spans: dict[tuple[str, int], Span] = {}

    def begin(self, record: JobRecord) -> None:
        """Begin the span of an attempt that was just taken up, and trace how long it waited."""
        if not tracing.is_on():
            return
        kept, is_first = record.request_trace or {}, record.attempt == 1
        # A later attempt was queued again at a time that nobody has noted.
        accepted: int | None = kept.get(tracing.ACCEPTED_NS) if is_first else None
        span = tracing.begin(
            "video" if isinstance(record, VideoRecord) else "encoder",
            parent=kept.get(tracing.TRACEPARENT),
            kind="consumer",
            began_ns=accepted,
            attributes=_attributes(record),
        )
        if span is None:
            return
        if accepted is not None:
            with tracing.within(span):
                tracing.past("queue", accepted, time.time_ns())
        with self._lock:
            self._spans[record.job_id, record.attempt] = span

    @contextmanager
    def within(self, record: JobRecord) -> Generator[None]:
        """Have the spans of the block be below the attempt's, and its log lines name the trace."""
        span = self._of(record)
        if span is None:
            yield
            return
        trace_id = f"{span.get_span_context().trace_id:032x}"
        before = TRACE_ID.set(trace_id)
        try:
            with tracing.within(span):
                yield
        finally:
            TRACE_ID.reset(before)

    def ended(self, record: JobRecord, status: str, reason: str) -> None:
        """Note how the attempt ended its job: the status, and the code of its error or ""."""
        span = self._of(record)
        if span is not None:
            span.set_attribute(OUTCOME, status)
            if reason:
                tracing.fail(span, reason)

    def end(self, job_id: str, attempt: int) -> None:
        """End the span of an attempt, if it has not ended."""
        with self._lock:
            span = self._spans.pop((job_id, attempt), None)
        if span is not None:
            span.end()

    def _of(self, record: JobRecord) -> Span | None:
        with self._lock:
            return self._spans.get((record.job_id, record.attempt))


def trace_parts(ticket: Ticket[Any], steps: int) -> None:
    """Trace the parts of a request that the engine has worked on, below the present span.

    Args:
        ticket: The request's.
        steps: Number of its denoising steps, which are one span together.
    """
    if not tracing.is_on():
        return
    now = time.time_ns()
    for part in ticket.timeline:
        attributes: dict[str, tracing.Value] = {}
        if part.name == "denoise":
            attributes = {"palimpsest.steps": steps}
        tracing.past(_PART_NAMES[part.name], part.began, part.ended or now, attributes)


def _attributes(record: JobRecord) -> dict[str, tracing.Value | None]:
    # An encoder's id mostly says what it forgets, which not everybody who reads spans may know.
    return {
        "palimpsest.job": record.job_id,
        "palimpsest.attempt": record.attempt,
        "palimpsest.key": record.owner,
        "palimpsest.request": record.request_id,
        "palimpsest.encoder_identity": (
            record.encoder_identity if isinstance(record, VideoRecord) else None
        ),
        OUTCOME: INTERRUPTED,
    }
