"""Routes of `/v1/encoders`: requests for new encoders, their progress, and published ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from encoders import Card, EncoderNotFound
from server.api import images
from server.api.composite_acceptance import accept_composite
from server.api.encoder_acceptance import accept
from server.api.encoder_objects import encoder_object, in_listing, is_usable
from server.api.encoder_requests import EncoderRequest, PicturesRequest
from server.api.events import events, following
from server.api.examples import ENCODER_EXAMPLES
from server.api.job_answers import advise_polling
from server.api.limits import COUNTED, write
from server.api.openapi import request_body
from server.api.request_parsing import (
    check,
    idempotency_key,
    json_fields,
    read_fields,
    text_lists,
)
from server.api.response_models import Deleted, EncoderObject, Page
from server.api.visibility import visibility_of
from server.auth.access import is_listed, may_use, require_admin, visible_cards
from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import InvalidRequest, NotFound
from server.runtime import Runtime, runtime_of
from server.storage.audit_rows import AuditRow
from server.storage.records import PENDING, PUBLISHED, EncoderRecord

router = APIRouter(prefix="/v1/encoders", tags=["encoders"])


@router.post(
    "",
    summary="Make an encoder that forgets a concept (an admin's key)",
    openapi_extra=request_body(EncoderRequest, ENCODER_EXAMPLES),
)
async def create_encoder(request: Request, response: Response) -> EncoderObject:
    """Accept a job and answer at once, with status `queued`.

    With `compose` it puts published encoders together, and judges them as a whole. With `images`
    and no concept it finds what the pictures show; if the model does not draw that, the job fails
    with `not_drawn`.
    """
    caller = caller_of(request)
    require_admin(caller)
    runtime = runtime_of(request)
    fields = await read_fields(request, max_files=runtime.settings.max_images + 1)
    files = await images.read_files(fields.pop("images", None), runtime.settings)
    text_lists(fields, "synonyms", "compose")
    json_fields(fields, "settings", "gate")
    is_unnamed = bool(files) and not fields.keys() & {"concept", "concepts", "compose"}
    checked = check(PicturesRequest if is_unnamed else EncoderRequest, fields)
    key = idempotency_key(request)
    if checked.compose:
        if files:
            raise InvalidRequest("A composite is not trained: leave images out.", param="images")
        record = await write(request, accept_composite, runtime, caller, checked, key)
    else:
        record = await write(request, accept, runtime, caller, checked, files, key)
    advise_polling(response)
    return await run_in_threadpool(_object_of, runtime, caller, record)


@router.get("", summary="List encoders")
def list_encoders(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Page[EncoderObject]:
    """List the encoders the caller may use, newest first.

    A key sees jobs that are not published only under ids that it lists; an admin's key sees all.
    A damaged encoder is left out, and named in the server's log.
    """
    runtime, caller = runtime_of(request), caller_of(request)
    cards = runtime.encoders.cards()
    found = _visible_encoders(runtime, caller, cards)
    if order == "desc":
        found.reverse()
    start = 0
    if after is not None:
        ids = [encoder.id for encoder in found]
        if after not in ids:
            raise NotFound(f"There is no encoder {after[:80]!r}.", param="after")
        start = ids.index(after) + 1
    end = start + limit
    visibility, published = visibility_of(runtime, caller), in_listing(cards)
    audits = runtime.storage.audits.all()
    page = [
        visibility.encoder(_object(runtime, encoder.record, encoder.card, published, audits.get))
        for encoder in found[start:end]
    ]
    return Page[EncoderObject].of(page, has_more=len(found) > end)


def visible_encoder(request: Request, encoder_id: str) -> EncoderObject:
    """Return the encoder with this id if the caller may use it, else raise EncoderNotFound."""
    runtime, caller = runtime_of(request), caller_of(request)
    if not runtime.ready and is_listed(caller, encoder_id):
        # A look at an encoder that is being made takes no model, so it is answered while one loads.
        making = runtime.records.get(
            EncoderRecord, EncoderRecord.id == encoder_id, EncoderRecord.status != PUBLISHED
        )
        if making is not None and making.judges is None:
            return visibility_of(runtime, caller).encoder(encoder_object(making, None))
    store = runtime.encoders
    if may_use(caller, encoder_id, runtime.aliases):
        visibility = visibility_of(runtime, caller)
        record = runtime.records.get(EncoderRecord, EncoderRecord.id == encoder_id)
        try:
            card = store.card(encoder_id)
            audits = runtime.storage.audits
            return visibility.encoder(_object(runtime, record, card, store.card, audits.get))
        except EncoderNotFound:
            if record is not None and record.status != PUBLISHED and record.judges is None:
                return visibility.encoder(encoder_object(record, None))
    raise EncoderNotFound(f"There is no encoder {encoder_id[:80]!r}.", param="encoder_id")


VisibleEncoder = Annotated[EncoderObject, Depends(visible_encoder)]


@router.get("/{encoder_id}", summary="Look at an encoder")
def get_encoder(encoder: VisibleEncoder, response: Response) -> EncoderObject:
    """Return phase, progress and measures; for a failed job, the reason in `error`.

    A published encoder whose card cannot be read is answered with 409 and `encoder_damaged`.
    """
    if encoder.status in PENDING:
        advise_polling(response)
    return encoder


@router.get(
    "/{encoder_id}/events",
    summary="Follow an encoder",
    response_class=EventSourceResponse,
    dependencies=[Depends(following)],
)
async def follow_encoder(
    request: Request, encoder: VisibleEncoder
) -> AsyncIterator[ServerSentEvent]:
    """Send the encoder as a server-sent event at once, and after every change until its end.

    An event's name is the encoder's status. If it is deleted, the last event is `deleted`;
    if the key is revoked or expires, it is `unauthorized`.
    """
    if request.method == "HEAD":
        return  # the headers are the answer
    look = partial(visible_encoder, request, encoder.id)
    async for event in events(request, encoder.id, look):
        yield event


@router.delete(
    "/{encoder_id}",
    summary="Delete an encoder, or cancel it (an admin's key)",
    dependencies=[COUNTED],
)
async def delete_encoder(request: Request, encoder_id: str, force: bool = False) -> Deleted:
    """Delete the encoder and its report, or cancel its job. A damaged encoder can be deleted too.

    Videos that were accepted with it and not made yet will fail; they never use another encoder.
    While a composite lists it, it is deleted with `force` only: then every use of the set fails.
    """
    caller = caller_of(request)
    require_admin(caller)
    await write(request, _delete, runtime_of(request), caller, encoder_id, force)
    return Deleted(id=encoder_id, object="encoder.deleted")


def _delete(runtime: Runtime, caller: Caller, encoder_id: str, force: bool) -> None:
    store = runtime.encoders
    if not may_use(caller, encoder_id, runtime.aliases):
        raise EncoderNotFound(f"There is no encoder {encoder_id[:80]!r}.", param="encoder_id")
    record = runtime.records.get(EncoderRecord, EncoderRecord.id == encoder_id)
    if store.has(encoder_id) and not force:  # raises if the store is away: then nothing is deleted
        store.check_unused(encoder_id)
    if record is not None:
        runtime.jobs.remove(record)
    try:
        store.delete(encoder_id, force=force)
        runtime.jobs.forget_encoder(encoder_id)
    except EncoderNotFound as error:
        if record is None:
            error.param = "encoder_id"
            raise


def _object_of(runtime: Runtime, caller: Caller, record: EncoderRecord) -> EncoderObject:
    store, audits = runtime.encoders, runtime.storage.audits
    card = store.card(record.id) if record.status == PUBLISHED else None
    found = _object(runtime, record, card, store.card, audits.get)
    return visibility_of(runtime, caller).encoder(found)


def _object(
    runtime: Runtime,
    record: EncoderRecord | None,
    card: Card | None,
    published: Callable[[str], Card],
    audit_of: Callable[[str], AuditRow | None],
) -> EncoderObject:
    if card is None:
        return encoder_object(record, None)
    refused = runtime.storage.audits.refused()
    usable = is_usable(card, published, runtime.model, refused)
    return encoder_object(record, card, usable=usable, audit=audit_of(card.identity))


class _Visible(NamedTuple):
    """An encoder of a list, before it is put into a client's form: a page needs few of them."""

    created_at: int
    id: str
    record: EncoderRecord | None
    card: Card | None


def _visible_encoders(runtime: Runtime, caller: Caller, listed: Sequence[Card]) -> list[_Visible]:
    """Return the encoders and jobs that the caller may see, oldest first."""
    cards = {card.id: card for card in visible_cards(caller, listed, runtime.aliases)}
    records = {
        record.id: record
        for record in runtime.records.all(EncoderRecord)
        if record.id in cards
        or (record.status != PUBLISHED and record.judges is None and is_listed(caller, record.id))
    }
    found: list[_Visible] = []
    for name in {**cards, **records}:
        record, card = records.get(name), cards.get(name)
        if record is not None:
            created = record.created_at
        else:
            created = int(cards[name].created_at.timestamp())
        found.append(_Visible(created, name, record, card))
    return sorted(found, key=lambda encoder: (encoder.created_at, encoder.id))
