"""Encoder jobs, last phase: judge a new encoder, or one that was published without measures."""

from __future__ import annotations

from datetime import UTC, datetime

from encoders import EncoderJudged, EncoderNotFound, EncoderRef
from encoders.judgement import Judgement
from server.jobs.composing import members_watched
from server.jobs.context import JobContext
from server.jobs.judging import (
    identity_measures,
    judge_and_publish,
    judge_of,
    sizes_of,
    try_encoder,
)
from server.jobs.phases import Phase, percent_of_phases
from server.jobs.signing import MediaSigner
from server.storage.records import PUBLISHED, EncoderRecord
from unlearn.report.build import report_files


def judge(context: JobContext, record: EncoderRecord) -> None:
    """Judge the job's encoder: the staged one, or the published one that the job names.

    Raises:
        MemberUnusable: The job makes a composite, and a member was deleted or replaced meanwhile.
        Exception: As `judge_and_publish`, or the published one cannot be judged.
    """
    if record.judges is None:
        with members_watched(record, context.wait_loaded()):
            judge_and_publish(context, record)
    else:
        _judge_published(context, record, record.judges)


def _judge_published(context: JobContext, record: EncoderRecord, ref: EncoderRef) -> None:
    """Measure a published encoder against the base, and store measures and report beside it.

    It stays published, whether it passes the gate or not.

    Raises:
        EncoderNotFound: It was deleted, or replaced by another of its id.
        EncoderJudged: Its card has measures, or another server judged it meanwhile.
    """
    loaded = context.wait_loaded()
    encoder = loaded.store.load(ref.id)
    if encoder.card.ref != ref:
        raise EncoderNotFound(f"Encoder {ref.id!r} was replaced by another.", param="encoder_id")
    measures = encoder.card.measures
    if not measures:  # else a kill came between storing them and ending the job
        trial, runner = try_encoder(context, record, encoder.card)
        measures = {
            **trial.measures(),
            **identity_measures(context, record, encoder.card),
            "gate": record.gate,
        }
        identity = judge_of(loaded).identity
        now = datetime.now(UTC)
        card = encoder.card.model_copy(update={"measures": measures})
        signer = MediaSigner(context)
        files = report_files(
            card,
            trial.outcomes,
            runner.pair,
            losses=(),
            judge=identity,
            model=loaded.backbone.name,
            capabilities=loaded.backbone.capabilities,
            sizes=sizes_of(encoder, loaded),
            issuer=context.settings.issuer,
            sign=signer.sign,
            judged_at=now,
        )
        judgement = Judgement(judged_at=now, judge=str(identity), measures=measures)
        signed = signer.published(card, files, record)
        try:
            loaded.store.judge(card, judgement, signed)
        except EncoderJudged:
            measures = loaded.store.card(ref.id).measures
    ended = context.tracker.end(
        record,
        status=PUBLISHED,
        phase=PUBLISHED,
        progress=100,
        phases=percent_of_phases(done=Phase.JUDGING),
        measures=measures,
    )
    if ended:  # or it was deleted with all that it left, or it is a later attempt's
        context.workspace(record).discard()
