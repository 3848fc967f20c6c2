"""Route `/v1/encoders/ways`: phrases that draw a concept without naming it.

The answer waits for the search, since its time is bounded and nothing of it is kept: a client that
is gone needs no result, and the work stops with it. The pictures have low priority and count as the
caller's; one search at a time runs, and of each key one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from server.api.encoder_acceptance import check_concepts, check_ways_enabled
from server.api.encoder_requests import WaysRequest
from server.api.events import CallerGone, cancelled_with_caller, place_of
from server.api.examples import WAYS_EXAMPLES
from server.api.limits import COUNTED
from server.api.openapi import request_body
from server.api.request_parsing import check, read_fields, text_lists
from server.api.ways_models import FoundWays
from server.auth.access import require_admin
from server.auth.guard import caller_of, check_key
from server.auth.keys import Caller
from server.drain import Stopping
from server.errors import ApiError, QueueFull, QuotaExceeded
from server.jobs.judging import judge_of
from server.jobs.way_search import EngineSearch
from server.outage import is_outage
from server.runtime import Runtime, runtime_of
from unlearn.trial.probes import check_known
from video.engine.fair_pool import FairPool

if TYPE_CHECKING:
    from encoders import Concept
    from video.engine.ticket import Ticket

router = APIRouter(prefix="/v1/encoders", tags=["encoders"])

T = TypeVar("T")

MOST_WAITING = 8
"""Searches of all keys that run or wait for their turn."""
_LOOK_INTERVAL_S = 0.05
_KEY_INTERVAL_S = 1.0
"""Time between two checks that the key may still be used."""
_CLIENT_CLOSED_REQUEST = 499


class OtherRole(ApiError):
    """The server's role has no part in this."""

    status = 501
    code = "other_role"


class _Ended(Exception):
    """The time is up, or the caller is gone: the search ends with what it has."""


class WaySearches:
    """The searches of this server: who has one, and the thread that does them in turn."""

    def __init__(self) -> None:
        self.pool = FairPool(1, "ways")
        self._owners: set[str] = set()

    @contextmanager
    def place(self, owner: str) -> Generator[None]:
        """Hold a key's only place. Use it from one event loop.

        Raises:
            QuotaExceeded: The key has a search under way.
            QueueFull: Too many others have.
        """
        if owner in self._owners:
            raise QuotaExceeded(
                f"Key {owner!r} has a search for ways under way: wait for it.",
                param="ways",
                headers={"Retry-After": "5"},
            )
        if len(self._owners) >= MOST_WAITING:
            raise QueueFull(
                f"{MOST_WAITING} searches for ways wait already: try again later.",
                headers={"Retry-After": "30"},
            )
        self._owners.add(owner)
        try:
            yield
        finally:
            self._owners.discard(owner)

    def shutdown(self) -> None:
        """Cancel what has not begun. Returns at once."""
        self.pool.shutdown(wait=False)


@router.post(
    "/ways",
    summary="Look for phrases that draw a concept without naming it (an admin's key)",
    openapi_extra=request_body(WaysRequest, WAYS_EXAMPLES),
    response_model=FoundWays,
    dependencies=[COUNTED],
)
async def find_ways(request: Request) -> FoundWays | Response:
    """Have the base draw phrases and the judge look at them, and answer with those that draw it.

    It takes up to `PALIMPSEST_WAYS_SECONDS`; then `complete` is false, and the ways found so far
    are in the answer. A client that closes the connection ends the search. Nothing is kept.
    """
    caller = caller_of(request)
    require_admin(caller)
    fields = await read_fields(request, max_files=0)
    text_lists(fields, "synonyms")
    concept = check(WaysRequest, fields).wanted()
    runtime = runtime_of(request)
    if not runtime.computes:
        raise OtherRole(
            "This server computes nothing (PALIMPSEST_ROLE=api), and a search for ways is made by "
            "the server that is asked: ask one with the role all, videos or encoders. A job that "
            "makes an encoder looks for ways itself."
        )
    check_ways_enabled(runtime.settings)
    await run_in_threadpool(_check, runtime, concept)
    searches: WaySearches = request.app.state.way_searches
    with searches.place(caller.id), place_of(request):
        try:
            answer = _answer(request, searches, runtime, caller, concept)
            return await cancelled_with_caller(request, answer)
        except CallerGone:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)


def _check(runtime: Runtime, concept: Concept) -> None:
    check_concepts([concept], runtime.model)
    check_known([concept], runtime.model.require_judge())


async def _answer(
    request: Request, searches: WaySearches, runtime: Runtime, caller: Caller, concept: Concept
) -> FoundWays:
    gone = Event()
    future = searches.pool.submit(caller.id, _search, runtime, caller, concept, gone)
    work = asyncio.wrap_future(future)
    try:
        while not work.done():
            await asyncio.wait([work], timeout=_KEY_INTERVAL_S)
            check_key(request)
        return work.result()
    finally:
        gone.set()
        future.cancel()


def _search(runtime: Runtime, caller: Caller, concept: Concept, gone: Event) -> FoundWays:
    """Search in this thread, for as long as the settings allow."""
    until, spent = monotonic() + runtime.settings.ways_seconds, 0.0

    def follow(tickets: Sequence[Ticket[T]], done: float, share: float) -> list[T]:
        nonlocal spent
        changed = Event()
        try:
            for ticket in tickets:
                ticket.on_change(changed.set)
            while not all(ticket.done() for ticket in tickets):
                if runtime.stopping.is_set():
                    raise Stopping("The server is stopping: ask again after its restart.")
                if gone.is_set() or monotonic() >= until:
                    raise _Ended
                changed.wait(_LOOK_INTERVAL_S)
                changed.clear()
            return [ticket.result() for ticket in tickets]
        finally:
            for ticket in tickets:
                ticket.cancel()
            spent += sum(ticket.device_seconds for ticket in tickets)

    loaded = runtime.loaded
    search = EngineSearch(
        loaded,
        judge_of(loaded),
        concept,
        runtime.settings.ways_pictures,
        follow,
        owner=caller.id,
    )
    complete = True
    try:
        search.run()
    except _Ended:
        complete = False
    finally:
        _count(runtime, caller, spent)
    return FoundWays(
        concept=concept.name,
        kind=concept.kind,
        ways=list(search.ways()),
        pictures=search.pictures,
        complete=complete,
    )


def _count(runtime: Runtime, caller: Caller, seconds: float) -> None:
    """Count the device's time for the caller, unless storage is out."""
    runtime.metrics.key_device_seconds.labels(caller.id, "encoder").inc(seconds)
    try:
        if seconds:
            runtime.records.count_device_seconds(caller.id, seconds)
    except Exception as error:
        if not is_outage(error):
            raise
