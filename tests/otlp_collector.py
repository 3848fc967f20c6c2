"""A collector of spans: a real HTTP server that takes OTLP in protobuf, as OpenTelemetry's does."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Collected:
    """A span as it arrived. Times are Unix nanoseconds."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def instance(self) -> str:
        """The replica that sent it."""
        return self.resource["service.instance.id"]


class Collector:
    """The spans that arrived."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        self.bodies: list[bytes] = []
        self.endpoint = ""

    def take(self, body: bytes) -> None:
        """Read one export."""
        self.bodies.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_collected(span, resource) for span in of_scope.spans]

    def trace(self, trace: str, *, until: str) -> list[Collected]:
        """Return the spans of a trace, in the order of their beginnings, once one has arrived.

        Args:
            trace: The trace's id.
            until: Name of the span that is waited for.
        """
        patient = time.monotonic() + PATIENCE_S
        while time.monotonic() < patient:
            found = [span for span in list(self.spans) if span.trace == trace]
            if any(span.name == until for span in found):
                return sorted(found, key=lambda span: (span.began, -span.ended))
            time.sleep(0.05)
        raise AssertionError(f"no span {until!r} in {[span.name for span in self.spans]}")


@contextmanager
def collector() -> Generator[Collector]:
    """Serve a collector on a port of its own until the block ends."""
    collected = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            body = self.rfile.read(int(self.headers["content-length"]))
            is_zipped = self.headers.get("content-encoding") == "gzip"
            collected.take(gzip.decompress(body) if is_zipped else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collected
    finally:
        server.shutdown()
        server.server_close()


def tree(spans: list[Collected], root: Collected) -> dict[str, Any]:
    """Return the names of the spans below one, nested, in the order of their beginnings."""
    below = [span for span in spans if span.parent == root.id]
    return {span.name: tree(spans, span) for span in below}


def named(spans: list[Collected], name: str) -> Collected:
    """Return the one span with this name."""
    [found] = [span for span in spans if span.name == name]
    return found


def _collected(span: ProtoSpan, resource: dict[str, Any]) -> Collected:
    return Collected(
        name=span.name,
        kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        resource=resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
