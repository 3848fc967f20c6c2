"""Encoder jobs, last phase: judge the staged encoder round by round, then publish or fail it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from encoders import Card, Encoder, EncoderNotFound, Kind, PalimpsestError
from server import tracing
from server.jobs.context import JobContext
from server.jobs.phases import Phase, percent_of_phases, phase_reporter
from server.jobs.probe_runner import ProbeRunner
from server.jobs.signing import MediaSigner
from server.served_model import NoJudge
from server.storage.records import PUBLISHED, EncoderRecord
from server.storage.staging import draft_id
from server.storage.taken_ids import alias_exists
from unlearn.report.build import failure_files, report_files
from unlearn.report.model import FileSizes

if TYPE_CHECKING:
    from server.loaded import Loaded
    from unlearn.judges.base import Judge
    from unlearn.trial.trial import Trial
    from video.models.backbone import Backbone


class NotForgotten(PalimpsestError):
    """The encoder did not pass the gate."""

    code = "gate_failed"


def judge_of(loaded: Loaded) -> Judge:
    """Return the judge.

    Raises:
        NoJudge: The model has none, and the settings name none.
    """
    if loaded.judge is None:
        raise NoJudge
    return loaded.judge


def try_encoder(
    context: JobContext, record: EncoderRecord, card: Card
) -> tuple[Trial, ProbeRunner]:
    """Have an encoder's probes made and judged until the trial is decided.

    Raises:
        NothingToJudge: The judge knows none of its concepts.
        Exception: A probe could not be made.
    """
    from unlearn.trial.gate import Gate
    from unlearn.trial.probes import judging_plan
    from unlearn.trial.trial import Trial

    loaded = context.wait_loaded()
    judge = judge_of(loaded)
    gate = Gate(**record.gate)
    plan = judging_plan(
        card.concepts,
        encoder=card.ref,
        judge=judge,
        book=loaded.backbone.prompts,
        capabilities=loaded.backbone.capabilities,
        gate=gate,
        neighbours=_neighbours(context, record, card) if gate.neighbour_probes else (),
        videos=context.settings.judged_videos,
    )
    trial = Trial(plan, card.concepts, gate)
    runner = ProbeRunner(context, record, judge, card.concepts)
    while probes := trial.next_round():
        trial.tell(runner.outcomes(probes, trial))
    return trial, runner


def _neighbours(context: JobContext, record: EncoderRecord, card: Card) -> list[tuple[str, Kind]]:
    """Return the other concepts that lie nearest to those of an encoder, by the base."""
    from unlearn.trial.neighbours import neighbour_steps

    loaded = context.wait_loaded()
    judge = judge_of(loaded)
    ticket = loaded.engine.submit_iterator(
        lambda backbone: neighbour_steps(card.concepts, judge, backbone)
    )
    report = phase_reporter(context.records, context.phase_times, record, Phase.JUDGING)
    [found] = context.tracker.follow(record.job_id, [ticket], lambda _: report(0.0))
    return found


def identity_measures(context: JobContext, record: EncoderRecord, card: Card) -> dict[str, Any]:
    """Measure what an encoder leaves to the base, to the bit; nothing without a trigger.

    An encoder that is used for every prompt when it is alone is measured as a member of a set.
    """
    if not card.members and card.trigger is None:
        return {}
    from unlearn.trial.identity import IDENTITY, IN_SETS, identity_steps

    loaded = context.wait_loaded()

    def steps(backbone: Backbone) -> Iterator[dict[str, Any]]:
        with loaded.engine.residency.use(card.ref) as members:
            name = IDENTITY
            if card.trigger is not None and not card.trigger.alone:
                detector = card.trigger.detector(backbone.device)
                members, name = [replace(one, trigger=detector) for one in members], IN_SETS
            yield from identity_steps(members, card.concepts, backbone, name=name)

    ticket = loaded.engine.submit_iterator(steps)
    report = phase_reporter(context.records, context.phase_times, record, Phase.JUDGING)
    [found] = context.tracker.follow(record.job_id, [ticket], lambda _: report(1.0))
    return found


def sizes_of(encoder: Encoder, loaded: Loaded) -> FileSizes:
    """Return the sizes of an encoder's file, or of its members' together, and of its base's."""
    members = [loaded.store.load(member.id) for member in encoder.card.members] or [encoder]
    return FileSizes.of(loaded.backbone.text_encoder, *(member.overrides for member in members))


def judge_and_publish(context: JobContext, record: EncoderRecord) -> None:
    """Measure the staged encoder against the base, and publish it if it passes the gate.

    Raises:
        NotForgotten: It does not pass; the record has its measures.
        AliasExists: Its id is an alias.
        EncoderExists: Another encoder was published under its id meanwhile.
        JobDeleted: The job was deleted, or a later attempt works on it.
    """
    from unlearn.trial.gate import Gate

    loaded = context.wait_loaded()
    staged, judge = _staged(context, record, loaded), judge_of(loaded)
    published = _published(record.id, staged, loaded)
    if published is not None:  # a kill came between publishing and ending the job
        _end(context, record, published)
        return
    gate = Gate(**record.gate)
    trial, runner = try_encoder(context, record, staged.card)
    tracing.annotate(**{"palimpsest.probes": len(trial.outcomes)})
    measures = {
        **trial.measures(),
        **identity_measures(context, record, staged.card),
        "gate": record.gate,
    }
    context.storage.run(
        f"the measures of job {record.job_id}",
        lambda: context.records.change(record, measures=measures),
    )
    if failures := gate.failures(measures):
        fps = loaded.backbone.capabilities.fps_default
        tried = staged.card.model_copy(update={"measures": measures})
        files = failure_files(tried, trial.outcomes, runner.pair, fps)
        context.workspace(record).save_failure(files)
        raise NotForgotten(" ".join(failures))
    card = staged.card.model_copy(update={"id": record.id, "measures": measures})
    signer = MediaSigner(context)
    files = report_files(
        card,
        trial.outcomes,
        runner.pair,
        losses=() if card.members else context.workspace(record).load_losses(),
        judge=judge.identity,
        model=loaded.backbone.name,
        capabilities=loaded.backbone.capabilities,
        sizes=sizes_of(staged, loaded),
        issuer=context.settings.issuer,
        sign=signer.sign,
    )
    if context.aliases.target(record.id) is not None:
        raise alias_exists(record.id)
    encoder = Encoder(card, staged.overrides)
    with tracing.span("mark"):
        signed = signer.published(card, files, record)

    def publish() -> None:
        context.require_own(record)
        if _published(record.id, encoder, loaded) is None:  # an outage may have come after its card
            loaded.store.publish(encoder, signed)

    with tracing.span("store"):
        context.storage.run(f"encoder {record.id!r}", publish)
    loaded.residency.rename(card.ref)
    _end(context, record, card)


def _staged(context: JobContext, record: EncoderRecord, loaded: Loaded) -> Encoder:
    """Load the job's staged encoder: this attempt's, or that of the one which it goes on from."""
    attempt = context.workspace(record).encoder_attempt
    # Earlier versions staged an encoder under its own id.
    return loaded.staging.staged(draft_id(record.job_id, attempt) if attempt else record.id)


def _published(encoder_id: str, encoder: Encoder, loaded: Loaded) -> Card | None:
    """Return the published card of this id, if it has the encoder's identity; else None."""
    with suppress(EncoderNotFound):
        card = loaded.store.card(encoder_id)
        return card if card.identity == encoder.card.identity else None
    return None


def _end(context: JobContext, record: EncoderRecord, card: Card) -> None:
    """Write that the job's encoder is published; if the job was deleted, delete the encoder too.

    If a later attempt works on it, it finds the encoder published, and ends the job itself. What
    else is published under the id by now is another's: it has another card.
    """
    ended = context.tracker.end(
        record,
        status=PUBLISHED,
        phase=PUBLISHED,
        progress=100,
        phases=percent_of_phases(done=Phase.JUDGING),
        measures=dict(card.measures),
    )
    if not ended and context.storage.run(
        f"the end of job {record.job_id}", lambda: context.is_superseded(record)
    ):
        return
    if not ended:
        context.storage.run(f"encoder {record.id!r}", lambda: _withdraw(context, card))
    context.discard(record)


def _withdraw(context: JobContext, card: Card) -> None:
    store = context.wait_loaded().store
    with suppress(EncoderNotFound):
        if store.card(card.id) == card:
            store.delete(card.id)
