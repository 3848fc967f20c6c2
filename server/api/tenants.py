"""Route of `/v1/tenants/{tenant}`: erase all that the server stores about a tenant."""

from __future__ import annotations

from fastapi import APIRouter, Request

from encoders import check_id
from server.api.limits import COUNTED, write
from server.api.response_models import Erased
from server.auth import keys_file
from server.auth.access import require_admin
from server.auth.guard import caller_of, refresh_keys
from server.auth.keys import LOCAL, Caller
from server.errors import Conflict
from server.jobs.erasing import erase
from server.runtime import runtime_of
from server.storage.key_table import KeyNotFound, KeyTable

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])


@router.delete("/{tenant}", summary="Erase a tenant (an admin's key)", dependencies=[COUNTED])
async def erase_tenant(request: Request, tenant: str) -> Erased:
    """Revoke the tenant's key, and remove its videos, files, records and usage for good.

    Encoders stay. The tenant is the id of a key. From the revocation on no server of this database
    accepts anything for it.
    """
    caller = caller_of(request)
    require_admin(caller)
    check_id(tenant, param="tenant")
    return await write(request, _erase, request, caller, tenant)


def _erase(request: Request, caller: Caller, tenant: str) -> Erased:
    runtime = runtime_of(request)
    if tenant in keys_file.ids_in(runtime.settings.keys_file):
        raise Conflict(
            f"The keys file declares the key {tenant!r}, which could go on: remove it there first.",
            param="tenant",
            code="key_declared",
        )
    if tenant == caller.id and caller is not LOCAL:
        raise Conflict(
            "This is the key of the request itself: use another admin's key.",
            param="tenant",
            code="own_key",
        )
    try:
        KeyTable(runtime.database).revoke(tenant)
        revoked = True
    except KeyNotFound:
        revoked = False
    refresh_keys(request)
    counts = erase(runtime.jobs.context, runtime.database, tenant)
    return Erased(
        id=tenant,
        videos=counts.videos,
        encoder_jobs=counts.encoder_jobs,
        deleted_videos=counts.deleted_videos,
        ledger_entries=counts.ledger_entries,
        key_revoked=revoked,
    )
