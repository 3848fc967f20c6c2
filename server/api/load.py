"""Route `/v1/load`: what the server does just now, for its operator."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

import psutil
from fastapi import APIRouter, Request

from server.api.load_models import (
    DeviceLoad,
    FailedJob,
    JobKind,
    PendingJobs,
    ResidentEncoder,
    ServerLoad,
)
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.runtime import Runtime, runtime_of
from server.storage.record_store import RecordStore
from server.storage.records import IN_PROGRESS, QUEUED, EncoderRecord, VideoRecord

if TYPE_CHECKING:
    from server.loaded import Loaded

router = APIRouter(prefix="/v1/load", tags=["operation"])

_FAILURES, _RESIDENTS = 20, 100
_TABLES: tuple[tuple[JobKind, type[VideoRecord] | type[EncoderRecord]], ...] = (
    ("video", VideoRecord),
    ("encoder", EncoderRecord),
)


@router.get("", summary="Look at the load (an admin's key)")
def get_load(request: Request) -> ServerLoad:
    """Return queue, device, memory, resident encoders and the last failures.

    `/metrics` has the same figures for programs, and more.
    """
    require_admin(caller_of(request))
    runtime = runtime_of(request)
    # A server that takes requests only has no device, and nothing on it.
    loaded = runtime.loaded if runtime.computes else None
    stats = None if loaded is None else loaded.residency.stats()
    return ServerLoad(
        pending=_pending(runtime.records),
        device=None if loaded is None else _device(loaded),
        process_bytes=psutil.Process().memory_info().rss,
        residents=[
            ResidentEncoder(id=one.id, bytes=one.bytes, in_use=one.in_use)
            for one in (() if loaded is None else loaded.residency.residents(_RESIDENTS))
        ],
        resident_count=0 if stats is None else stats.resident,
        resident_bytes=0 if stats is None else stats.resident_bytes,
        failures=_failures(runtime),
    )


def _pending(records: RecordStore) -> list[PendingJobs]:
    found: list[PendingJobs] = []
    for kind, table in _TABLES:
        counts: defaultdict[str, dict[str, int]] = defaultdict(lambda: {QUEUED: 0, IN_PROGRESS: 0})
        for owner, status, count in records.pending_by_owner(table):
            counts[owner][status] += count
        found += [
            PendingJobs(key=owner, kind=kind, queued=of[QUEUED], in_progress=of[IN_PROGRESS])
            for owner, of in sorted(counts.items())
        ]
    return found


def _device(loaded: Loaded) -> DeviceLoad:
    import torch

    stats, used, total = loaded.engine.stats(), None, None
    if loaded.backbone.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(loaded.backbone.device)
        used = total - free
    return DeviceLoad(
        up_seconds=round(time.time() - psutil.Process().create_time(), 3),
        busy_seconds=round(stats.busy_seconds, 3),
        denoise_seconds=round(stats.denoise_seconds, 3),
        memory_used_bytes=used,
        memory_total_bytes=total,
    )


def _failures(runtime: Runtime) -> list[FailedJob]:
    found: list[FailedJob] = []
    for kind, table in _TABLES:
        found += [
            FailedJob(
                id=record.id,
                kind=kind,
                key=record.owner,
                model=record.model if isinstance(record, VideoRecord) else None,
                code=record.error_code or "",
                message=record.error_message or "",
                failed_at=record.completed_at or record.created_at,
            )
            for record in runtime.records.last_failed(table, _FAILURES)
        ]
    return sorted(found, key=lambda one: one.failed_at, reverse=True)[:_FAILURES]
