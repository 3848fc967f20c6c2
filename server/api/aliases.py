"""Routes of `/v1/aliases`: names for encoders that an admin can point elsewhere, atomically."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from encoders import AliasNotFound, EncoderNotFound
from server.api.examples import ALIAS_EXAMPLES
from server.api.limits import COUNTED, write
from server.api.openapi import request_body
from server.api.request_models import AliasRequest, NewId
from server.api.request_parsing import check, read_fields
from server.api.response_models import Alias, Deleted, Page
from server.api.unfinished import explained
from server.auth.access import is_listed, require_admin
from server.auth.guard import caller_of
from server.auth.keys import BASE, Caller
from server.runtime import Runtime, runtime_of

router = APIRouter(prefix="/v1/aliases", tags=["aliases"])

Name = Annotated[NewId, Path(description="The alias")]


@router.put(
    "/{name}",
    summary="Point an alias to an encoder (an admin's key)",
    openapi_extra=request_body(AliasRequest, ALIAS_EXAMPLES, is_idempotent=True),
    dependencies=[COUNTED],
)
async def put_alias(request: Request, name: Name) -> Alias:
    """Create the alias, or point it elsewhere.

    Videos accepted before keep their encoder.
    """
    caller = caller_of(request)
    require_admin(caller)
    body = check(AliasRequest, await read_fields(request, max_files=0))
    await write(request, _point, runtime_of(request), caller, name, body.encoder)
    return Alias(id=name, encoder=body.encoder)


def _point(runtime: Runtime, caller: Caller, name: str, encoder: str) -> None:
    if encoder == BASE:
        raise EncoderNotFound(
            f"{BASE!r} is the model without an encoder: an alias points to a published encoder "
            "only.",
            param="encoder",
        )
    with explained(runtime, caller, encoder):
        runtime.aliases.point(name, encoder, runtime.encoders)


@router.get("", summary="List aliases")
def list_aliases(request: Request) -> Page[Alias]:
    """List the aliases that the caller's key lists; all of them for a key without limits."""
    caller = caller_of(request)
    found = [
        Alias(id=name, encoder=target)
        for name, target in runtime_of(request).aliases.all().items()
        if is_listed(caller, name)
    ]
    return Page[Alias].of(found)


@router.get("/{name}", summary="Look at an alias")
def get_alias(request: Request, name: Name) -> Alias:
    """Return the encoder that the alias points to."""
    if is_listed(caller_of(request), name):
        target = runtime_of(request).aliases.target(name)
        if target is not None:
            return Alias(id=name, encoder=target)
    raise AliasNotFound(f"There is no alias {name!r}.", param="name")


@router.delete("/{name}", summary="Delete an alias (an admin's key)", dependencies=[COUNTED])
async def delete_alias(request: Request, name: Name) -> Deleted:
    """Delete the alias. The encoder it points to stays."""
    require_admin(caller_of(request))
    await write(request, runtime_of(request).aliases.delete, name)
    return Deleted(id=name, object="alias.deleted")
