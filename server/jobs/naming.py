"""Encoder jobs, first phase: name what the pictures of a client show, if nobody did."""

from __future__ import annotations

from encoders import Concept
from server.jobs.context import JobContext
from server.jobs.encoder_task import own_concepts, parent_of
from server.jobs.judging import judge_of
from server.jobs.phases import Phase, phase_reporter
from server.storage.records import FOUND, EncoderRecord
from unlearn.trial.probes import check_known

SCORING = 0.7
"""Share of the phase's time that scoring takes; drawing what was found takes the rest."""


def name_pictures(context: JobContext, record: EncoderRecord) -> None:
    """Find the concept that the job's pictures show, and write it into its record.

    Concepts that have a name are checked: a request may have been taken where there is no judge.

    Raises:
        NotDrawn: The model does not draw what they show.
        NothingToJudge: The judge does not know a concept.
    """
    if not record.names_pictures:
        concepts = [Concept.model_validate(concept) for concept in record.concepts]
        check_known(concepts, judge_of(context.wait_loaded()))
        return
    from unlearn.pictures.naming import STILLS, confirmed, requests_for, suspects
    from unlearn.pictures.scores import score_steps

    loaded, workspace = context.wait_loaded(), context.workspace(record)
    report = phase_reporter(context.records, context.phase_times, record, Phase.NAMING)
    if not own_concepts(record, parent_of(record, loaded)):
        judge, backbone, engine = judge_of(loaded), loaded.backbone, loaded.engine
        pictures, kind = workspace.load_images(0), record.settings[FOUND]["kind"]
        ticket = engine.submit_iterator(lambda backbone: score_steps(pictures, backbone, kind))
        [scores] = context.tracker.follow(
            record.job_id, [ticket], lambda share: report(share and SCORING * share)
        )
        asked = suspects(scores, pictures, judge, backbone.prompts)
        tickets = [
            engine.submit(request)
            for one in asked
            for request in requests_for(one, backbone.prompts, backbone.capabilities)
        ]
        clips = context.tracker.follow(
            record.job_id,
            tickets,
            lambda share: report(SCORING + (1 - SCORING) * (share or 0.0)),
        )
        drawn = [clips[start : start + STILLS] for start in range(0, len(clips), STILLS)]
        found = confirmed(asked, drawn, len(pictures), judge, backbone.prompts)
        concepts = [*record.concepts, found.concept.model_dump(mode="json")]
        settings = {**record.settings, FOUND: {"kind": kind, **found.facts()}}
        context.storage.run(
            f"the concept of job {record.job_id}",
            lambda: context.records.change(record, concepts=concepts, settings=settings),
        )
    if not workspace.has_checkpoint():  # or the progress of a later phase would be lost
        report(1.0)
