"""Encoder jobs: the phases images and optimising, and deletion.

Each phase leaves its result on disk, so that after a kill the next start continues with the phase
that was interrupted. Work on the device goes through the engine at low priority.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from encoders import Encoder
from encoders.composite import composite_card
from server import tracing
from server.jobs.checkpoints import Checkpoints
from server.jobs.composing import member_cards, members_watched
from server.jobs.context import JobContext
from server.jobs.encoder_task import own_concepts, parent_of, settings_of
from server.jobs.phases import Phase, phase_reporter
from server.jobs.tracking import StepProgress
from server.jobs.training import Training
from server.storage.records import FOUND, PENDING, EncoderRecord
from server.storage.staging import draft_id
from video.errors import NoNativeDenoiser

if TYPE_CHECKING:
    from encoders import Concept
    from unlearn.methods.spec import MethodSpec
    from unlearn.task import UnlearnProgress
    from video.models.backbone import Backbone


def make_images(context: JobContext, record: EncoderRecord) -> None:
    """Make the few-shot images of the job's concepts with the base encoder.

    None are made if the client sent images, or if the method does not learn from any. A method that
    can do without has none of motions, whose clips would take longer than the rest, nor with a
    denoiser that cannot be called.
    """
    if record.judges is not None or record.composes:  # encoders that exist
        return
    from unlearn.few_shots import few_shot_requests, few_shots_of

    loaded = context.wait_loaded()
    workspace, settings = context.workspace(record), settings_of(record)
    concepts = own_concepts(record, parent_of(record, loaded))
    report = phase_reporter(context.records, context.phase_times, record, Phase.IMAGES)
    requests = {
        number: few_shot_requests(
            concept.name,
            concept.kind,
            capabilities=loaded.backbone.capabilities,
            book=loaded.backbone.prompts,
            seed=settings.seed,
        )
        for number, concept in enumerate(concepts)
        if _learns_from(settings.method_spec, concept, loaded.backbone)
        and not workspace.has_images(number)
    }
    tickets = [loaded.engine.submit(request) for some in requests.values() for request in some]
    if tickets:
        clips = iter(context.tracker.follow(record.job_id, tickets, report))
        for number, some in requests.items():
            shots = few_shots_of(list(islice(clips, len(some))), concepts[number].kind)
            workspace.save_images(number, shots)
    if not workspace.has_checkpoint():  # or the progress of a later phase would be lost
        report(1.0)


def optimise(context: JobContext, record: EncoderRecord) -> None:
    """Train the encoder, one step at a time between the steps of other requests, and stage it.

    After a restart it goes on from the last checkpoint.
    """
    if record.composes:
        _stage_composite(context, record)
    if record.judges is not None or record.composes:
        return
    from unlearn import UnlearnTask, unlearn
    from unlearn.methods.run_state import share_done

    loaded = context.wait_loaded()
    workspace, settings = context.workspace(record), settings_of(record)
    report = phase_reporter(context.records, context.phase_times, record, Phase.OPTIMISING)
    if not workspace.has_losses():
        parent = parent_of(record, loaded)
        concepts = own_concepts(record, parent)
        can_learn = settings.method_spec.can_learn_from_images
        has = [can_learn and workspace.has_images(number) for number in range(len(concepts))]
        images = [
            workspace.load_images(number) if has[number] else np.zeros((0, 1, 1, 3), np.uint8)
            for number in range(len(concepts))
        ]
        task = UnlearnTask(
            tuple(concepts),
            settings,
            tuple(images) if any(has) else (),
            record.id,
            parent,
        )
        checkpoint = workspace.load_checkpoint()
        run = unlearn(task, loaded.backbone, checkpoint)
        progress, checkpoints = StepProgress(), Checkpoints(workspace, run.checkpoint)
        training = Training(run, task.concepts, workspace, record.training)
        report = phase_reporter(
            context.records,
            context.phase_times,
            record,
            Phase.OPTIMISING,
            lambda: {"training": training.told()},
        )
        progress.share = share_done(checkpoint)

        def on_step(step: UnlearnProgress) -> None:
            progress.advance(step.share)
            checkpoints.after_step(now=context.stopping.is_set())

        def report_from(share: float | None) -> bool:
            return report(progress.share or None if share is None else share)

        tracing.annotate(**{"palimpsest.steps": settings.schedule().steps})
        ticket = loaded.engine.submit_iterator(lambda backbone: training.turns(backbone, on_step))
        try:
            context.tracker.follow(record.job_id, [ticket], report_from, progress)
        finally:
            checkpoints.close()
            training.close()
        _stage(context, record, _with_origin(run.encoder, record))
        workspace.save_losses(run.losses)
    report(1.0)


def _with_origin(encoder: Encoder, record: EncoderRecord) -> Encoder:
    """Return the encoder; its card says from which pictures its concept was named, if it was."""
    if not record.names_pictures:
        return encoder
    settings = {**encoder.card.settings, FOUND: record.settings[FOUND]}
    return Encoder(encoder.card.model_copy(update={"settings": settings}), encoder.overrides)


def _stage_composite(context: JobContext, record: EncoderRecord) -> None:
    """Stage the composite that the job is to judge.

    Raises:
        MemberUnusable: A member was deleted or replaced since the request was accepted.
    """
    loaded = context.wait_loaded()
    card = composite_card(record.id, member_cards(record, loaded))
    with members_watched(record, loaded):
        _stage(context, record, Encoder(card, {}))


def _stage(context: JobContext, record: EncoderRecord, encoder: Encoder) -> None:
    staging = context.wait_loaded().staging

    def stage() -> None:
        context.require_own(record)
        staging.stage(encoder, draft_id(record.job_id, record.attempt))

    context.storage.run(f"the draft of job {record.job_id}", stage)


def _learns_from(method: MethodSpec, concept: Concept, backbone: Backbone) -> bool:
    """Return True if images of a concept are made for a method."""
    if method.learns_from_images or not method.takes_images or concept.kind == "motion":
        return method.learns_from_images
    try:
        backbone.denoiser(is_video=False)
    except NoNativeDenoiser:
        return False
    return True


def remove_encoder_job(context: JobContext, record: EncoderRecord) -> None:
    """Delete an encoder job: its row, its work in the engine, its files.

    A published encoder stays in the store.
    """
    context.records.remove(record)
    if record.status in PENDING:
        context.tracker.cancel(record)
    context.discard(record, with_pictures=True)
