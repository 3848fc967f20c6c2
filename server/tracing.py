"""Tracing: spans of requests and jobs, sent by OTLP over HTTP.

OpenTelemetry's own variables decide: it is off unless `OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set. While it is off, OpenTelemetry is not imported here,
and every function returns at once. A span has ids, times, numbers and codes: no text of a request,
no key's secret, no message of an error.

The provider is this module's own, not the process's: what libraries trace by themselves stays out.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

from encoders.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)

Value = str | bool | int | float
Kind = Literal["internal", "server", "consumer"]

TRACEPARENT = "traceparent"
ACCEPTED_NS = "accepted_ns"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_FLUSH_S = 1.0
"""Longest time that a stop waits for the last spans: the collector may be away."""

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def start(instance: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send spans from now on, if the environment says where to. A second call changes nothing.

    Variables that cannot be used are logged: no server stays away for its spans.

    Args:
        instance: Id of this replica, the resource's `service.instance.id`.
        environment: The variables that decide if spans are sent. The rest of OpenTelemetry's
            variables, such as the sampler's, are read by its SDK.
    """
    global _provider, _tracer
    if _provider is not None or not is_wanted(environment):
        return
    try:
        _provider = _new_provider(instance)
    except Exception as error:
        log.error("no spans are sent: %s", error)
        return
    _tracer = _provider.get_tracer("palimpsest", VERSION)
    log.info("spans are sent by OTLP")


def stop() -> None:
    """Send what is left, for a second at most, and send nothing more."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is None:
        return
    ending = Thread(target=provider.shutdown, name="palimpsest-spans", daemon=True)
    ending.start()
    ending.join(_FLUSH_S)


def is_on() -> bool:
    """Return True while spans are sent."""
    return _tracer is not None


def begin(
    name: str,
    *,
    parent: str | None = None,
    kind: Kind = "internal",
    began_ns: int | None = None,
    attributes: Mapping[str, Value | None] | None = None,
) -> Span | None:
    """Begin a span that the caller ends; None while tracing is off.

    Args:
        name: One of a few names: no id, no path.
        parent: `traceparent` of the span above it. None: the present span, or a new trace.
        kind: Its kind in OpenTelemetry.
        began_ns: Unix time in nanoseconds; None: now.
        attributes: What it says. Those that are None are left out.
    """
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind

    return _tracer.start_span(
        name,
        _context_of(parent),
        SpanKind[kind.upper()],
        {key: value for key, value in (attributes or {}).items() if value is not None},
        start_time=began_ns,
        record_exception=False,
        set_status_on_exception=False,
    )


def past(
    name: str, began_ns: int, ended_ns: int, attributes: Mapping[str, Value | None] | None = None
) -> None:
    """Trace what is over already, as a span below the present one. Times are Unix nanoseconds."""
    over = begin(name, began_ns=began_ns, attributes=attributes)
    if over is not None:
        over.end(max(began_ns, ended_ns))


@contextmanager
def within(span: Span | None) -> Generator[None]:
    """Have spans that begin in the block be below this one, which goes on after it."""
    if span is None:
        yield
        return
    from opentelemetry.trace import use_span

    with use_span(span, record_exception=False, set_status_on_exception=False):
        yield


@contextmanager
def span(name: str, **attributes: Value | None) -> Generator[None]:
    """Trace the block as a span below the present one. An error ends it with its code."""
    begun = begin(name, attributes=attributes)
    if begun is None:
        yield
        return
    try:
        with within(begun):
            yield
    except Exception as error:
        fail(begun, code_of(error))
        raise
    finally:
        begun.end()


def annotate(**attributes: Value) -> None:
    """Add attributes to the present span."""
    if _tracer is None:
        return
    from opentelemetry.trace import get_current_span

    get_current_span().set_attributes(attributes)


def request_trace() -> dict[str, Any] | None:
    """Return what the row of a job keeps of the trace of its request; None without one."""
    parent = traceparent()
    return None if parent is None else {TRACEPARENT: parent, ACCEPTED_NS: time.time_ns()}


def fail(span: Span, code: str) -> None:
    """Have a span say that it failed, and by which code. A message could quote a request."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR)


def code_of(error: BaseException) -> str:
    """Return the code by which the API reports an error; of any other, its class's name."""
    code = getattr(error, "reported_code", None) or getattr(error, "code", None)
    return code if isinstance(code, str) else type(error).__name__


def traceparent(span: Span | None = None) -> str | None:
    """Return the `traceparent` of a span, or of the present one; None if there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    found = (span or get_current_span()).get_span_context()
    if not found.is_valid:
        return None
    ids = f"{format_trace_id(found.trace_id)}-{format_span_id(found.span_id)}"
    return f"00-{ids}-{found.trace_flags:02x}"


def _new_provider(instance: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = {
        "service.name": "palimpsest",
        "service.version": VERSION,
        "service.instance.id": instance,
    }
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say takes the place of our own.
    resource = Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _context_of(parent: str | None) -> Context | None:
    if parent is None:
        return None
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return True if OpenTelemetry's variables say where to send spans, and do not forbid it."""
    if not any(environment.get(name) for name in _ENDPOINTS):
        return False
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _PROTOCOL)
    if protocol != _PROTOCOL:
        log.error("no spans are sent: the protocol %r is not spoken, set %s", protocol, _PROTOCOL)
        return False
    return True
