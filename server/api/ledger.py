"""Routes of `/v1/ledger`: which clip was made with which encoder and for which key, signed."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError

from encoders.card import Kind
from marking.envelope import sign_envelope
from marking.ledger import (
    PAYLOAD_TYPE,
    LedgerCoverage,
    LedgerFilter,
    LedgerPage,
    listing_of,
    statement_of,
)
from server.api.ledger_models import ForgettingSince, LedgerClip
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.errors import Conflict, NotFound
from server.runtime import runtime_of
from server.storage.ledger_uses import LedgerUses

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

Time = Annotated[int | None, Query(ge=0, le=1 << 53, description="Unix seconds, included")]
KeyName = Annotated[str, Query(max_length=63, description="Id of a key", examples=["studio"])]


@router.get("", summary="Export the ledger (an admin's key)")
def get_ledger(
    request: Request,
    since: Time = None,
    until: Time = None,
    encoder: Annotated[
        str | None,
        Query(
            description="Id, identity or digest of an encoder, alone or in sets",
            # SQLite reads a pattern to its first NUL only, so not every text will do.
            pattern=r"^([a-z0-9][a-z0-9._+-]{0,199}|sha256:[0-9a-f]{64})$",
        ),
    ] = None,
    key: Annotated[
        str | None, Query(max_length=63, description="Id of a key", examples=["studio"])
    ] = None,
    after: Annotated[
        int, Query(ge=0, le=1 << 53, description="`last_sequence` of the page before")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most entries to show")] = 100,
) -> LedgerPage:
    """Return a page of the chain, whose coverage and end are signed.

    Entries that the filter leaves out are there as runs, with the hash that covers them, so that
    none can be missing. `palimpsest ledger verify` checks a file of all pages.
    """
    require_admin(caller_of(request))
    storage = runtime_of(request).storage
    shown = LedgerFilter(since=since, until=until, encoder=encoder, key=key)
    try:
        part = storage.records.ledger.slice(shown, after=after, limit=limit)
    except ValidationError as error:
        raise Conflict(
            "An entry of the ledger cannot be read: it was changed in the database. Restore the "
            "database from a backup.",
            code="ledger_damaged",
        ) from error
    if part is None:
        raise NotFound(f"The ledger has no entry {after}.", param="after")
    coverage = LedgerCoverage(
        first=part.after.sequence + 1,
        last=part.end.sequence,
        previous=part.after.hash,
        hash=part.end.hash,
        listing=listing_of(part.entries),
        begin=part.begin,
        head=part.head,
        filter=shown,
        exported_at=int(time.time()),
    )
    signing_key = storage.signing_keys.active()
    return LedgerPage(
        entries=list(part.entries),
        last_sequence=part.end.sequence,
        has_more=part.end.sequence < part.head.sequence,
        envelope=sign_envelope(statement_of(coverage), PAYLOAD_TYPE, signing_key),
        certificates=signing_key.certificates,
    )


@router.get("/forgetting", summary="Ask since when a key's clips forget (an admin's key)")
def get_forgetting(
    request: Request,
    key: KeyName,
    concept: Annotated[str, Query(min_length=1, max_length=100, description="Name of a concept")],
    kind: Kind | None = None,
) -> ForgettingSince:
    """Return since when every clip of a key was made with an encoder that forgets a concept.

    The concept's name is one that an encoder's card had when the clip was made; synonyms do not
    count. Clips of the base, and of encoders of other concepts, are clips without.
    """
    require_admin(caller_of(request))
    uses = LedgerUses(runtime_of(request).database)
    found = uses.forgetting(key, concept, kind)
    if found.first is None and found.last_without is None:
        raise NotFound(f"The ledger has no clip of a key {key!r}.", param="key")
    return ForgettingSince(
        key=key,
        concept=concept,
        kind=kind,
        since=found.first and found.first.completed_at,
        clips=found.clips,
        first=found.first and LedgerClip.of(found.first),
        last_without=found.last_without and LedgerClip.of(found.last_without),
        ledger_since=uses.begins_at(),
    )
