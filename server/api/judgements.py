"""Route `/v1/encoders/{encoder_id}/judge`: judge an encoder that was published without measures."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from encoders import EncoderInvalid, EncoderJudged, EncoderNotFound
from server.api.encoder_requests import JudgeRequest
from server.api.encoders import visible_encoder
from server.api.examples import JUDGE_EXAMPLES
from server.api.job_answers import advise_polling
from server.api.limits import accept_within_limits, write
from server.api.openapi import request_body
from server.api.request_parsing import (
    check,
    idempotency_key,
    json_fields,
    read_fields,
    request_hash,
)
from server.api.response_models import EncoderObject
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import Conflict, Unprocessable
from server.gates import requested_gate
from server.runtime import Runtime, runtime_of
from server.storage.records import JUDGES, PENDING, EncoderRecord

router = APIRouter(prefix="/v1/encoders/{encoder_id}/judge", tags=["encoders"])


@router.post(
    "",
    summary="Judge an imported encoder (an admin's key)",
    openapi_extra=request_body(JudgeRequest, JUDGE_EXAMPLES),
)
async def judge_encoder(request: Request, response: Response, encoder_id: str) -> EncoderObject:
    """Accept a job that measures a published encoder which was never judged; answer at once.

    The encoder stays published and can be used meanwhile, and whatever the result is. Its `phase`
    is `judging` until the job ends; then it has measures and a report. `error` says why a job
    failed; it can be asked for again.
    """
    caller = caller_of(request)
    require_admin(caller)
    fields = await read_fields(request, max_files=0)
    json_fields(fields, "gate")
    checked = check(JudgeRequest, fields)
    key = idempotency_key(request)
    runtime = runtime_of(request)
    await write(request, _accept, runtime, caller, encoder_id, checked, key)
    advise_polling(response)
    return await run_in_threadpool(visible_encoder, request, encoder_id)


def _accept(
    runtime: Runtime, caller: Caller, encoder_id: str, request: JudgeRequest, key: str | None
) -> None:
    """Check the request, record it and start its job. A repeat of a request changes nothing.

    Raises:
        Unprocessable: The idempotency key came with another request.
        EncoderNotFound: No published encoder has this id.
        EncoderJudged: It has measures.
        Conflict: It is being made or judged.
        PalimpsestError: It cannot be judged here: another base, no judge, an unknown concept.
    """
    from unlearn.trial.probes import check_known

    store, model = runtime.encoders, runtime.model
    record = runtime.records.get(EncoderRecord, EncoderRecord.id == encoder_id)
    card, missing = None, None
    try:
        card = store.card(encoder_id)
    except EncoderNotFound as error:
        missing = error
    digest = request_hash(request, [card.identity.encode()] if card is not None else [])
    earlier = runtime.records.repeated(EncoderRecord, caller.id, key, digest)
    if earlier is not None:
        _check_same(earlier, encoder_id)
        return
    if record is not None and record.status in PENDING:
        doing = "made" if record.judges is None else "judged"
        raise Conflict(
            f"Encoder {encoder_id!r} is being {doing}: wait until that has ended.",
            param="encoder_id",
            code="encoder_not_ready",
        )
    if card is None:
        assert missing is not None
        missing.param = "encoder_id"
        raise missing
    if card.measures:
        raise EncoderJudged(
            f"Encoder {encoder_id!r} is judged already, and an encoder is judged once.",
            param="encoder_id",
        )
    if card.base != model.base:
        raise EncoderInvalid(
            f"Encoder {card.id!r} was made for another text encoder ({card.base}); this server's "
            f"is {model.base}.",
            param="encoder_id",
        )
    check_known(card.concepts, model.require_judge())
    judgement = EncoderRecord(
        id=card.id,
        job_id=f"encoder_{uuid.uuid4().hex}",
        owner=caller.id,
        idempotency_key=key,
        request_hash=digest,
        concepts=[concept.model_dump(mode="json") for concept in card.concepts],
        parent=None,
        parent_digest=None,
        settings={JUDGES: card.identity},
        gate=requested_gate(request.gate.given(), runtime.settings),
    )
    judgement.seconds_left = runtime.jobs.expected_seconds(judgement)
    # The row of an earlier job, which failed, goes only if this one is accepted.
    accepted = accept_within_limits(runtime, caller, judgement, replaced=record)
    _check_same(accepted, encoder_id)
    if accepted is judgement and record is not None:
        runtime.jobs.context.discard(record, with_pictures=True)


def _check_same(job: EncoderRecord, encoder_id: str) -> None:
    """Raise Unprocessable if the idempotency key's job is of another encoder.

    The request's hash has the digest, which two encoders can share, and not the id.
    """
    if job.id != encoder_id:
        raise Unprocessable(
            f"Idempotency-Key {job.idempotency_key!r} was used for encoder {job.id!r}. "
            "Use a new one."
        )
