"""H3: no malformed request gets a 5xx, hangs, or an error that is not of the API's shape."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import httpx
import hypothesis
import schemathesis

from benchmarks.faults.served import Served, call, served
from benchmarks.faults.strange_requests import StrangeRequests

HANG_S = 5.0
"""Seconds after which a request counts as hanging."""
_ERROR = {"message", "type", "param", "code"}
_MAKES_CLIPS = ("/v1/videos/sync", "/generate")
"""Paths that are answered when a clip is made; a 200 of them may take longer."""


@dataclass
class Answers:
    """Count of answers, and what is wrong with some."""

    statuses: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, told: str, status: str, wrong: str | None) -> None:
        """Count an answer; `told` is the request in short."""
        with self._lock:
            self.statuses[status] += 1
            if wrong is not None:
                self.wrong.append(f"{wrong}: {told[:400]}")


def malformed(work: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Send malformed requests to a server, and count its answers.

    Args:
        work: the folder for data and logs.
        count: requests of strange parts; an eighth as many are broken HTTP beside them, and
            schemathesis draws an eighth as many from the OpenAPI document.
        seed: seed of the requests.
    """
    with served(work / "data", work, max_queued_videos=3, max_steps=2, max_frames=1) as server:
        document = call(server.url, "GET", "/openapi.json").json()
        strange = _strange(server, StrangeRequests(seed, document), count)
        broken = _broken(server, StrangeRequests(seed + 1, document), count // 8)
        drawn = _drawn(server, document, count // 8)
        began = perf_counter()
        ready = call(server.url, "GET", "/readyz").status_code
        after = perf_counter() - began
    wrong = [*strange.wrong, *broken.wrong, *drawn.wrong]
    return {
        "statuses of strange requests": dict(sorted(strange.statuses.items())),
        "statuses of broken HTTP": dict(sorted(broken.statuses.items())),
        "statuses of schemathesis": dict(sorted(drawn.statuses.items())),
        "requests": sum(each.statuses.total() for each in (strange, broken, drawn)),
        "5xx, hanging, or without the API's error": len(wrong),
        "the first of them": wrong[:20],
        "readyz afterwards": f"{ready} in {after:.3f} s",
        "H3: every one is refused or served": not wrong
        and ready == 200
        and strange.statuses.total() == count,
    }


def fault_of(method: str, status: int, body: bytes) -> str | None:
    """Return what is wrong with an answer to any request, or None."""
    if status >= 500:
        return f"status {status} {body[:300]!r}"
    if status < 400 or method == "HEAD":
        return None
    try:
        error = json.loads(body)["error"]
        if set(error) == _ERROR and isinstance(error["message"], str) and error["message"]:
            return None
    except (ValueError, KeyError, TypeError):
        pass
    return f"no error of the API, {status} {body[:100]!r}"


def draw_from_document(
    document: dict[str, Any], examples: int, send: Callable[[dict[str, Any]], object]
) -> int:
    """Draw requests by an OpenAPI document with schemathesis; return the number of operations.

    Args:
        document: the document.
        examples: requests of each operation.
        send: called with each, as arguments of httpx's `Client.request`.
    """
    schema: Any = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=cast(list[hypothesis.HealthCheck], list(hypothesis.HealthCheck)),
        )
        @hypothesis.given(case=operation.as_strategy())
        def one(case: Any) -> None:
            request = case.as_transport_kwargs(base_url="http://127.0.0.1")
            for unknown in ("timeout", "cookies"):
                request.pop(unknown, None)
            if isinstance(request.get("data"), bytes):
                request["content"] = request.pop("data")
            # HTTP knows no spaces around a value; httpx refuses them.
            headers = request.get("headers") or {}
            request["headers"] = {name: value.strip() for name, value in headers.items()}
            if request.get("files"):  # httpx takes text and bytes only
                request["files"] = [
                    (name, (file, value if isinstance(value, bytes | str) else str(value)))
                    for name, (file, value, *_) in request["files"]
                ]
            send(request)

        one()
    return len(operations)


def _strange(server: Served, requests: StrangeRequests, count: int) -> Answers:
    answers = Answers()

    def send(number: int) -> None:
        request = drawn[number]
        told = f"{request.method} {request.target[:100]} {request.headers} {request.body[:150]!r}"
        status, wrong, _ = exchange(server, request.method, request.raw(server.host))
        if wrong == "hangs" and status == "200" and request.target.startswith(_MAKES_CLIPS):
            wrong = None
        answers.add(told, status, wrong)

    drawn = [requests.draw() for _ in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(count)))
    return answers


def _broken(server: Served, requests: StrangeRequests, count: int) -> Answers:
    answers = Answers()

    def send(raw: bytes) -> None:
        method = "HEAD" if raw.startswith(b"HEAD ") else "GET"
        status, wrong, _ = exchange(server, method, raw, ends=True)
        if wrong is not None and wrong.startswith("no answer"):
            wrong = None  # what is cut off may be left without one
        answers.add(repr(raw[:200]), status, wrong)

    drawn = [requests.draw_broken_http(server.host) for _ in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, drawn))
    return answers


def _drawn(server: Served, document: dict[str, Any], count: int) -> Answers:
    answers = Answers()
    operations = sum(len(item) for item in document["paths"].values())
    with httpx.Client(timeout=60) as client:

        def send(request: dict[str, Any]) -> None:
            request["url"] = request["url"].replace("http://127.0.0.1", server.url, 1)
            told = f"{request['method']} {request['url']}"
            began = perf_counter()
            try:
                answer = client.request(**request)
            except (httpx.InvalidURL, httpx.LocalProtocolError, ValueError):
                return None  # the client does not send this
            except httpx.TransportError as error:
                return answers.add(told, "none", f"no answer ({error!r})")
            wrong = fault_of(request["method"], answer.status_code, answer.content)
            if perf_counter() - began > HANG_S and not answer.is_success:
                wrong = "hangs"
            return answers.add(told, str(answer.status_code), wrong)

        draw_from_document(document, max(1, count // operations), send)
    return answers


def exchange(
    server: Served, method: str, raw: bytes, *, ends: bool = False
) -> tuple[str, str | None, bytes]:
    """Send bytes on a connection of their own; return status, what is wrong, and body.

    Args:
        server: the server.
        method: the method, by which the answer has a body or not.
        raw: the bytes.
        ends: close the sending side after them.
    """
    began = perf_counter()
    status = "none"
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            try:
                connection.sendall(raw)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the answer may have come before the end
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            status = str(answer.status)
            streams = answer.headers.get_content_type() == "text/event-stream"
            body = b"" if streams else answer.read()
    except (OSError, http.client.HTTPException) as error:
        return status, f"no answer ({error!r})", b""
    wrong = fault_of(method, int(status), body)
    if wrong is None and perf_counter() - began > HANG_S:
        wrong = "hangs"
    return status, wrong, body
