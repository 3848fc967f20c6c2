"""Routes of `/v1/usage`: the limits of keys, and what they use."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request

from server.api.response_models import Page
from server.api.usage_models import Usage, UsageDay, UsageFigures
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.errors import NotFound
from server.runtime import Runtime, runtime_of
from server.storage.key_limits import Limits
from server.storage.records import VideoRecord

router = APIRouter(prefix="/v1/usage", tags=["usage"])

Days = Annotated[int, Query(ge=1, le=400, description="Days to show, today included")]
KeyName = Annotated[
    str | None,
    Query(max_length=63, description="Id of another key (an admin's key)", examples=["studio"]),
]


@router.get("", summary="Look at limits and usage")
def get_usage(request: Request, key: KeyName = None, days: Days = 30) -> Usage:
    """Return the limits of the caller's key, what it uses now, and what it used on each day.

    An admin's key may ask for any other key.
    """
    runtime, caller = runtime_of(request), caller_of(request)
    if key is None or key == caller.id:
        return _usage(runtime, caller.id, runtime.key_policy.of_caller(caller), days)
    require_admin(caller)
    if key not in _all_keys(runtime):
        raise NotFound(f"There is no key {key!r}, and nothing of it is left.", param="key")
    return _usage(runtime, key, runtime.key_policy.of_owner(key), days)


@router.get("/keys", summary="List the usage of every key (an admin's key)")
def list_usage(request: Request, days: Days = 30) -> Page[Usage]:
    """Return the usage of every key that is accepted, or of which something is left, by id."""
    runtime, caller = runtime_of(request), caller_of(request)
    require_admin(caller)
    names = sorted(_all_keys(runtime) | {caller.id})
    policy = runtime.key_policy
    return Page[Usage].of([_usage(runtime, name, policy.of_owner(name), days) for name in names])


def _all_keys(runtime: Runtime) -> set[str]:
    return runtime.key_policy.ids | runtime.storage.usage.owners()


def _usage(runtime: Runtime, key: str, limits: Limits, days: int) -> Usage:
    table = runtime.storage.usage
    used = {**asdict(table.now(key)), "in_flight": runtime.jobs.in_flight(VideoRecord)[key]}
    return Usage(
        id=key,
        limits=UsageFigures(**asdict(limits)),
        used=UsageFigures(**used),
        days=[
            UsageDay(
                day=row.day,
                requests=row.requests,
                videos=row.videos,
                encoders=row.encoders,
                device_seconds=round(row.device_seconds, 3),
            )
            for row in table.by_day(key, days)
        ],
    )
