"""Routes of `/v1/admin/replicas`: the servers on one database, and telling one to drain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from server.api.limits import COUNTED, write
from server.api.replica_models import Replica
from server.api.response_models import Page
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.errors import NotFound
from server.runtime import Runtime, runtime_of
from server.storage.records import EncoderRecord, VideoRecord
from server.storage.replica_table import Listed

router = APIRouter(prefix="/v1/admin/replicas", tags=["operation"])

ReplicaId = Annotated[str, Path(pattern=r"^[0-9A-Za-z._-]{1,64}$")]


@router.get("", summary="List the servers on the database (an admin's key)")
def list_replicas(request: Request) -> Page[Replica]:
    """List every server, the one that began first at the top; dead ones for ten minutes."""
    require_admin(caller_of(request))
    return Page[Replica].of([_object(one) for one in runtime_of(request).storage.replicas.listed()])


@router.post(
    "/{replica_id}/drain", summary="Drain a server (an admin's key)", dependencies=[COUNTED]
)
async def drain_replica(request: Request, replica_id: ReplicaId) -> Replica:
    """Tell a server, this one or another, to take no more jobs; answer at once.

    It is not ready from then on, hands back what it has not begun, and ends the rest within its
    `PALIMPSEST_DRAIN_SECONDS` and `PALIMPSEST_STOP_SECONDS`, or hands it back too. It goes on
    answering reads until it is stopped, and takes jobs again after a restart.
    """
    require_admin(caller_of(request))
    return await write(request, _drain, runtime_of(request), replica_id)


def _drain(runtime: Runtime, replica_id: str) -> Replica:
    replicas = runtime.storage.replicas
    if replicas.drain(replica_id):
        for one in replicas.listed():
            if one.row.id == replica_id:
                return _object(one)
    raise NotFound(
        f"There is no living server {replica_id!r}: /v1/admin/replicas lists them.",
        param="replica_id",
    )


def _object(one: Listed) -> Replica:
    row = one.row
    return Replica.model_validate(
        {
            "id": row.id,
            "role": row.role,
            "alive": one.is_alive,
            "draining": row.draining,
            "leads": one.leads,
            "host": row.host,
            "url": row.url,
            "version": row.version,
            "model": row.model,
            "started_at": int(row.started_at),
            "seen_at": int(row.seen_at),
            "videos": one.jobs.get(VideoRecord.__tablename__, ()),
            "encoders": one.jobs.get(EncoderRecord.__tablename__, ()),
        }
    )
