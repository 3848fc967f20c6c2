"""Acceptance of encoder requests: every check that comes before a job is recorded."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from encoders import (
    Card,
    Concept,
    EncoderExists,
    EncoderNotFound,
    PalimpsestError,
)
from server.api import images
from server.api.encoder_requests import EncoderRequest
from server.api.limits import accept_within_limits
from server.api.request_parsing import request_hash
from server.api.unfinished import explained
from server.auth.access import require_admin
from server.auth.keys import Caller
from server.errors import InvalidRequest
from server.gates import requested_gate
from server.jobs.workspace import Workspace
from server.outage import is_outage
from server.settings import Settings
from server.storage.records import FOUND, PUBLISHED, WAYS, EncoderRecord
from server.storage.taken_ids import alias_exists
from unlearn.settings import UnlearnSettings
from unlearn.trial.probes import check_known

if TYPE_CHECKING:
    from encoders.store import EncoderStore
    from server.runtime import Runtime
    from server.served_model import ServedModel
    from server.storage.alias_table import AliasTable


def accept(
    runtime: Runtime,
    caller: Caller,
    request: EncoderRequest,
    files: Sequence[bytes],
    key: str | None,
) -> EncoderRecord:
    """Check a request and record it, which starts its job.

    Args:
        runtime: the server that will make the encoder.
        caller: the sender of the request; its key must be an admin's.
        request: the checked body.
        files: the content of the images that came with it.
        key: the request's Idempotency-Key; the same key and request give the same encoder.

    Raises:
        PalimpsestError: the request cannot be met, or its caller may not make it.
    """
    require_admin(caller)
    digest = request_hash(request, files)
    earlier = runtime.records.repeated(EncoderRecord, caller.id, key, digest)
    if earlier is not None:
        return earlier
    model = runtime.model
    wanted = request.wanted()
    with explained(runtime, caller, request.parent):
        parent = parent_of(request, runtime.encoders, runtime.aliases)
    settings = checked_settings(request, model, runtime.settings)
    check_concepts(wanted, model)
    concepts = (*(parent.concepts if parent else ()), *wanted)
    check_known(concepts, model.require_judge())
    encoder_id, lost = free_id(request, runtime)
    record = EncoderRecord(
        id=encoder_id,
        job_id=f"encoder_{uuid.uuid4().hex}",
        owner=caller.id,
        idempotency_key=key,
        request_hash=digest,
        concepts=[concept.model_dump(mode="json") for concept in concepts],
        parent=parent.id if parent else None,
        parent_digest=parent.identity if parent else None,
        settings={
            **settings.to_json(),
            **_looked_for(request, settings, runtime.settings),
            **({} if wanted else {FOUND: {"kind": request.kind}}),
        },
        gate=requested_gate(request.gate.given(), runtime.settings),
        claim=request.stated_claim(),
    )
    record.seconds_left = runtime.jobs.expected_seconds(record)
    workspace = runtime.jobs.workspace(record)
    if files:
        if wanted:
            check_images_allowed(settings, wanted)
        model.require_denoiser()
        try:
            _save_images(workspace, files, model, runtime.settings)
        except Exception:
            workspace.discard()
            raise
    try:
        accepted = accept_within_limits(runtime, caller, record, replaced=lost)
    except Exception as error:
        # After an outage in the commit nobody knows if there is a row that needs the workspace.
        # The housekeeping removes it if not.
        if not is_outage(error):
            workspace.discard()
        raise
    if accepted is not record:
        workspace.discard()
    elif lost is not None:
        runtime.jobs.remove(lost)  # its row is gone; its pictures go too
    return accepted


def parent_of(request: EncoderRequest, store: EncoderStore, aliases: AliasTable) -> Card | None:
    """Return the card of the parent encoder; None if the request names none.

    Raises:
        EncoderNotFound: no encoder and no alias has the parent's name.
        InvalidRequest: the parent is a composite, or forgets one of the concepts already.
    """
    if request.parent is None:
        return None
    try:
        card = store.card(aliases.resolve(request.parent, store))
    except PalimpsestError as error:
        error.param = "parent"
        raise
    if card.members:
        raise InvalidRequest(
            f"{card.id!r} is a set of encoders and has no tensors to train on from: name one of "
            "its members, or add a new encoder to the set with 'compose'.",
            param="parent",
            code="composite_parent",
        )
    already = {(concept.name, concept.kind) for concept in card.concepts}
    for concept in request.wanted():
        if (concept.name, concept.kind) in already:
            raise InvalidRequest(f"{card.id!r} forgets {concept.name!r} already.", param="concepts")
    return card


def checked_settings(
    request: EncoderRequest, model: ServedModel, settings: Settings
) -> UnlearnSettings:
    """Return the settings of the run, with every default filled in.

    Raises:
        PalimpsestError: a setting is unknown or out of range, or this model cannot be trained
            with it; `param` is `settings.<name>`.
    """
    try:
        asked = UnlearnSettings.from_json(request.settings.root)
        chosen = asked.suited(model.parameters).resolved()
        if chosen.method_spec.learns_from_images:
            model.require_denoiser()
    except PalimpsestError as error:
        error.param = f"settings.{error.param}" if error.param else "settings"
        raise
    steps = chosen.schedule().steps
    if steps > settings.max_unlearning_steps:
        raise InvalidRequest(
            f"steps is {steps}; at most {settings.max_unlearning_steps} are taken.",
            param="settings.steps",
        )
    return chosen


def _looked_for(
    request: EncoderRequest, chosen: UnlearnSettings, settings: Settings
) -> dict[str, int]:
    """Return what the job keeps of the search for ways: its pictures; nothing for no search.

    Raises:
        InvalidRequest: they were asked for, and the method or the server does not have them.
    """
    if request.ways and chosen.method_spec.learns_from_images:
        raise InvalidRequest(
            f"The method {chosen.method!r} learns from images of the concept and not from phrases: "
            "leave ways out.",
            param="ways",
        )
    if request.ways:
        check_ways_enabled(settings)
    wanted = not chosen.method_spec.learns_from_images if request.ways is None else request.ways
    return {WAYS: settings.ways_pictures} if wanted and settings.ways_pictures else {}


def check_ways_enabled(settings: Settings) -> None:
    """Raise InvalidRequest if this server looks for no ways."""
    if not settings.ways_pictures:
        raise InvalidRequest(
            "This server looks for no ways to a concept: its PALIMPSEST_WAYS_PICTURES is 0.",
            param="ways",
            code="ways_disabled",
        )


def check_concepts(concepts: Sequence[Concept], model: ServedModel) -> None:
    """Raise InvalidRequest for a concept that is named twice, or whose names are too long.

    A name or synonym may fill half of the model's prompts, so that sentences around it still fit.
    """
    most = model.capabilities.prompt_tokens // 2
    for concept in concepts:
        if sum((concept.name, concept.kind) == (c.name, c.kind) for c in concepts) > 1:
            raise InvalidRequest(f"{concept.name!r} is named twice.", param="concepts")
        for name in (concept.name, *concept.synonyms):
            tokens = model.prompt_tokens(name)
            if tokens > most:
                raise InvalidRequest(
                    f"{name!r} is {tokens} tokens long; a concept's name or synonym may fill half "
                    f"of this model's prompts, {most} tokens.",
                    param="concept" if name == concept.name else "synonyms",
                )


def check_images_allowed(settings: UnlearnSettings, concepts: Sequence[Concept]) -> None:
    """Raise InvalidRequest where images sent by a client could not be used."""
    if not settings.method_spec.can_learn_from_images:
        raise InvalidRequest(
            f"The method {settings.method!r} does not learn from images: leave them out, or set "
            "settings.method to one that does, such as 'ascent'.",
            param="images",
        )
    if concepts[0].kind == "motion":
        raise InvalidRequest(
            "A motion is learned from clips, which this server makes itself: leave images out.",
            param="images",
        )
    if len(concepts) > 1:
        raise InvalidRequest(
            "Images can be sent for one concept only: which of several they show is not said.",
            param="images",
        )


def _save_images(
    workspace: Workspace, files: Sequence[bytes], model: ServedModel, settings: Settings
) -> None:
    """Decode the images at the model's own size, and save them in the job's workspace."""
    pictures = images.decode(
        list(files),
        width=model.capabilities.native_width,
        height=model.capabilities.native_height,
        max_pixels=settings.max_image_pixels,
    )
    workspace.save_pictures(pictures)


def free_id(request: EncoderRequest, runtime: Runtime) -> tuple[str, EncoderRecord | None]:
    """Return the requested id, or a new one; and the record of a published encoder that is lost.

    An encoder is lost if it was removed by other means than this server. Its id is free.

    Raises:
        AliasExists: it is an alias.
        EncoderExists: it is a published encoder's.
        EncoderDamaged: it is a damaged encoder's.
    """
    encoder_id = request.id  # a composite, which has no name of its own, always has one
    if encoder_id is None:
        names = [concept.name for concept in request.wanted()]
        encoder_id = _new_id(names[0] if names else "pictures")
    if runtime.aliases.target(encoder_id) is not None:
        raise alias_exists(encoder_id)
    # Read before the card is looked for: a job's card is created before its row says so.
    published = runtime.records.get(
        EncoderRecord, EncoderRecord.id == encoder_id, EncoderRecord.status == PUBLISHED
    )
    with suppress(EncoderNotFound):
        runtime.encoders.card(encoder_id)
        raise EncoderExists(
            f"There is an encoder {encoder_id!r} already: choose another id, or delete it first.",
            param="id",
        )
    return encoder_id, published


def _new_id(concept: str) -> str:
    word = re.sub(r"[^a-z0-9]+", "-", concept.lower()).strip("-")[:40].strip("-")
    return f"no-{word or 'concept'}-{secrets.token_hex(3)}"
