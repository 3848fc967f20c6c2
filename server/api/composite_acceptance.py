"""Acceptance of composites: a set of published encoders that is judged and published as one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from encoders import Card, EncoderInvalid, PalimpsestError
from encoders.composite import check_members, composite_card
from server.api.encoder_acceptance import free_id
from server.api.encoder_requests import EncoderRequest
from server.api.limits import accept_within_limits
from server.api.request_parsing import request_hash
from server.api.unfinished import explained
from server.auth.access import require_admin
from server.auth.keys import Caller
from server.gates import requested_gate
from server.storage.records import COMPOSES, EncoderRecord, stored_refs
from unlearn.trial.probes import check_known

if TYPE_CHECKING:
    from server.runtime import Runtime


def accept_composite(
    runtime: Runtime, caller: Caller, request: EncoderRequest, key: str | None
) -> EncoderRecord:
    """Check a request for a composite and record it, which starts its job.

    Args:
        runtime: the server that will judge it.
        caller: the sender of the request; its key must be an admin's.
        request: the checked body, with `compose`.
        key: the request's Idempotency-Key; the same key and request give the same encoder.

    Raises:
        PalimpsestError: the request cannot be met, or its caller may not make it.
    """
    require_admin(caller)
    digest = request_hash(request)
    earlier = runtime.records.repeated(EncoderRecord, caller.id, key, digest)
    if earlier is not None:
        return earlier
    encoder_id, lost = free_id(request, runtime)
    card = composite_card(encoder_id, [_card(runtime, caller, name) for name in request.compose])
    check_known(card.concepts, runtime.model.require_judge())
    record = EncoderRecord(
        id=encoder_id,
        job_id=f"encoder_{uuid.uuid4().hex}",
        owner=caller.id,
        idempotency_key=key,
        request_hash=digest,
        concepts=[concept.model_dump(mode="json") for concept in card.concepts],
        parent=None,
        parent_digest=None,
        settings={COMPOSES: stored_refs(member.ref for member in card.members)},
        gate=requested_gate(request.gate.given(), runtime.settings),
        claim=request.stated_claim(),
    )
    record.seconds_left = runtime.jobs.expected_seconds(record)
    accepted = accept_within_limits(runtime, caller, record, replaced=lost)
    if accepted is record and lost is not None:
        runtime.jobs.remove(lost)  # its row is gone; its pictures go too
    return accepted


def _card(runtime: Runtime, caller: Caller, name: str) -> Card:
    """Return the card of an encoder that is to be a member.

    Raises:
        EncoderNotFound: no encoder and no alias has the name.
        EncoderInvalid: it was made for another base.
        MemberUnusable: it is a composite with a member that was deleted or replaced.
    """
    store, base = runtime.encoders, runtime.model.base
    try:
        with explained(runtime, caller, name):
            card = store.card(runtime.aliases.resolve(name, store))
            check_members(card, store.card)
    except PalimpsestError as error:
        error.param = "compose"
        raise
    if card.base != base:
        raise EncoderInvalid(
            f"Encoder {card.id!r} was made for another text encoder ({card.base}); this server's "
            f"is {base}.",
            param="compose",
        )
    return card
