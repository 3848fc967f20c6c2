"""Routes for an operator's tools: `/health` and `/metrics`.

BentoML answers `/livez` and `/readyz`; `/health` says more.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.drain import Draining, Stopping
from server.errors import NotReady
from server.runtime import runtime_of
from server.storage_refusals import refusal

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """Answer of a server that can make videos and encoders."""

    status: Literal["ready"] = "ready"


@router.get("/health", summary="Ready, or why not")
async def health(request: Request) -> Health:
    """Answer 503 unless the server takes work.

    The code is `loading`, `load_failed`, `no_model`, `draining` or `stopping`.
    """
    # On the event loop, which it does not hold: a probe must not wait for a thread.
    runtime = runtime_of(request)
    if runtime.stopping.is_set():
        raise Stopping
    error = runtime.storage_error
    if error is not None:
        raise refusal(error)
    if runtime.load_error is not None:
        raise NotReady("The model could not be loaded; see the server's log.", code="load_failed")
    if runtime.draining:
        raise Draining
    if not runtime.computes:
        _ = runtime.model  # or the reason why there is none yet
    if not runtime.ready:
        raise NotReady("The model is still loading.", code="loading")
    return Health()


@router.get("/metrics", response_class=Response, summary="Prometheus metrics (an admin's key)")
def metrics(request: Request) -> Response:
    """Return all metrics in the Prometheus text format."""
    require_admin(caller_of(request))
    registry = runtime_of(request).metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
