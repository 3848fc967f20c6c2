"""``/v1/aliases``: names that point to encoders and can be pointed elsewhere, atomically."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from encoders import AliasNotFound, EncoderExists
from server.api.schemas import Alias, AliasRequest, Deleted, NewId, Page, page_of
from server.auth.access import may_use, require_admin
from server.auth.guard import caller_of
from server.runtime import runtime_of
from server.storage.records import PENDING, EncoderRecord

router = APIRouter(prefix="/v1/aliases", tags=["aliases"])

Name = Annotated[NewId, Path(description="The alias")]


@router.put("/{name}", summary="Point an alias to an encoder (an admin's key)")
def put_alias(request: Request, name: Name, body: AliasRequest) -> Alias:
    """Creates the alias or points it elsewhere. Videos accepted before keep their encoder."""
    require_admin(caller_of(request))
    runtime = runtime_of(request)
    store = runtime.loaded.store
    being_made = runtime.records.get(
        EncoderRecord, EncoderRecord.id == name, EncoderRecord.status.in_(PENDING)
    )
    if being_made is not None:
        raise EncoderExists(f"{name!r} is the id of an encoder that is being made.", param="name")
    store.set_alias(name, body.encoder)
    return Alias(id=name, encoder=body.encoder)


@router.get("", summary="List aliases")
def list_aliases(request: Request) -> Page[Alias]:
    """Those the caller may use."""
    found = [Alias(id=name, encoder=target) for name, target in _visible(request).items()]
    return Page[Alias](**page_of(found, has_more=False))


@router.get("/{name}", summary="Look at an alias")
def get_alias(request: Request, name: Name) -> Alias:
    """Which encoder it points to."""
    target = _visible(request).get(name)
    if target is None:
        raise AliasNotFound(f"There is no alias {name!r}.", param="name")
    return Alias(id=name, encoder=target)


@router.delete("/{name}", summary="Delete an alias (an admin's key)")
def delete_alias(request: Request, name: Name) -> Deleted:
    """The encoder it points to stays."""
    require_admin(caller_of(request))
    runtime_of(request).loaded.store.delete_alias(name)
    return Deleted(id=name, object="alias.deleted")


def _visible(request: Request) -> dict[str, str]:
    caller = caller_of(request)
    aliases = runtime_of(request).loaded.store.aliases()
    return {name: target for name, target in aliases.items() if may_use(caller, name, {})}
