"""A load balancer that sends every request to another server than the one before."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from itertools import count

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from benchmarks.serving.servers import free_port, wait

_HOPS = {"connection", "keep-alive", "transfer-encoding", "host"}
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@contextmanager
def round_robin(urls: Sequence[str]) -> Generator[str]:
    """Serve on a port of its own, and yield the address.

    A server that takes no connection is passed over. An answer that breaks off is not repeated, so
    the client sees that.
    """
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(_app(urls), host="127.0.0.1", port=port, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{port}"
    try:
        wait(f"{address}/round-robin")
        yield address
    finally:
        server.should_exit = True
        thread.join(5)


def _app(urls: Sequence[str]) -> Starlette:
    turns = count()
    client = httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_keepalive_connections=0))

    async def forward(request: Request) -> Response:
        body = await request.body()
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOPS]
        first = next(turns)
        for number in range(len(urls)):
            url = urls[(first + number) % len(urls)] + request.url.path
            sent = client.build_request(
                request.method, url, params=request.query_params, headers=headers, content=body
            )
            try:
                answer = await client.send(sent, stream=True)
            except httpx.ConnectError:
                continue
            except httpx.TransportError as error:
                return _refusal(502, f"broken off: {error!r}")
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOPS}
            return StreamingResponse(_pieces(answer), answer.status_code, kept)
        return _refusal(503, "no server takes connections")

    async def here(_: Request) -> Response:
        return PlainTextResponse("here")

    routes = [
        Route("/round-robin", here),
        Route("/{path:path}", forward, methods=_METHODS),
    ]
    return Starlette(routes=routes)


def _refusal(status: int, message: str) -> Response:
    """Return an error of the load balancer's own, in the shape of the servers' errors."""
    return JSONResponse({"error": {"message": message, "code": "load_balancer"}}, status)


async def _pieces(answer: httpx.Response) -> AsyncGenerator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
