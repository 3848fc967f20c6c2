"""The last phase of making an encoder: judged round by round, then published, or failed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from encoders import Encoder, EncoderExists, PalimpsestError
from server.api.schemas import EncoderRequest
from server.jobs.probe_runner import ProbeRunner
from server.jobs.workspace import PHASES, discard, work_folder
from server.settings import Settings
from server.storage.records import PUBLISHED, EncoderRecord
from unlearn.report.build import report_files
from unlearn.report.model import FileSizes

if TYPE_CHECKING:
    from server.jobs.workflows import Jobs
    from server.runtime import Loaded
    from unlearn.judges.base import Judge


class NotForgotten(PalimpsestError):
    """The judge did not let the encoder through."""

    code = "gate_failed"


class NoJudge(PalimpsestError):
    """The model came without a judge, so no encoder can be shown to forget."""

    code = "no_judge"


def judge_of(loaded: Loaded) -> Judge:
    """The model's judge. Raises NoJudge."""
    if loaded.judge is None:
        raise NoJudge(
            "This model came without a judge, so whether it forgets cannot be measured; the "
            "server's PALIMPSEST_JUDGE names one."
        )
    return loaded.judge


def gate_of(request: EncoderRequest, settings: Settings) -> dict[str, Any]:
    """The gate's thresholds, none left open: the request's, and for the rest the server's."""
    from unlearn.trial.gate import Gate

    given = request.gate.model_dump(exclude_none=True)
    return {name: given.get(name, getattr(settings, name)) for name in asdict(Gate())}


def judge(jobs: Jobs, record: EncoderRecord) -> None:
    """What it forgets and what it keeps, against the base; publishes it if it passes the gate.

    Raises:
        NotForgotten: it does not pass; its measures are in the record.
        EncoderExists: somebody published another encoder under its id meanwhile.
    """
    from unlearn.trial.gate import Gate
    from unlearn.trial.probes import judging_plan
    from unlearn.trial.trial import Trial

    runtime = jobs.runtime
    loaded = runtime.wait_loaded()
    draft, its_judge, gate = loaded.drafts.draft(record.id), judge_of(loaded), Gate(**record.gate)
    plan = judging_plan(
        draft.card.concepts,
        encoder=draft.card.ref,
        judge=its_judge,
        book=loaded.backbone.prompts,
        capabilities=loaded.backbone.capabilities,
        most=gate.max_probes,
        videos=runtime.settings.judged_videos,
    )
    trial = Trial(plan, draft.card.concepts, gate)
    rounds = ProbeRunner(jobs, record, its_judge)
    while probes := trial.next_round():
        trial.tell(rounds.outcomes(probes, trial))
    measures = {**trial.measures(), "gate": record.gate}
    runtime.records.change(record, measures=measures)
    if failures := gate.failures(measures):
        raise NotForgotten(" ".join(failures))
    card = draft.card.model_copy(update={"measures": measures})
    files = report_files(
        card,
        trial.outcomes,
        rounds.pair,
        losses=json.loads((work_folder(runtime, record) / "losses.json").read_bytes()),
        judge=its_judge.identity,
        model=loaded.backbone.name,
        capabilities=loaded.backbone.capabilities,
        sizes=FileSizes.of(draft.overrides, loaded.backbone.text_encoder),
    )
    try:
        loaded.store.publish(Encoder(card, draft.overrides), files)
    except EncoderExists:
        # Ours, if a kill came between publishing and saying so.
        if loaded.store.card(record.id).digest != card.digest:
            raise
    ended = jobs.end(
        record,
        status=PUBLISHED,
        phase=PUBLISHED,
        progress=100,
        phases=dict.fromkeys(PHASES, 100),
        measures=measures,
    )
    if not ended:
        loaded.store.delete(record.id)
    discard(runtime, record)
