"""Making one encoder: images → optimising → judging → published, or failed with its measures.

Each phase leaves what it made on disk, so that after a kill the next start goes on with the phase
that was under way. Everything on the device goes through the engine at low priority.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from encoders import EncoderExists, EncoderNotFound, Kind, PalimpsestError
from server.errors import InvalidRequest, NotReady
from server.records import IN_PROGRESS, PENDING, PUBLISHED, EncoderRecord
from server.schemas import MAX_SEED, EncoderRequest
from server.settings import Settings

if TYPE_CHECKING:
    from server.jobs import Jobs
    from server.runtime import Loaded, Runtime
    from unlearn import UnlearnProgress, UnlearnSettings

_JUDGING_SEEDS = 1000
"""How far the judge's seeds lie from those of the few-shot images."""

Images = NDArray[np.uint8]
Report = Callable[[float | None], bool]


class NotForgotten(PalimpsestError):
    """The judge did not let the encoder through."""

    code = "gate_failed"


class NoJudge(PalimpsestError):
    """The model came without a judge, so no encoder can be shown to forget."""

    code = "no_judge"


def checked_settings(request: EncoderRequest, loaded: Loaded, settings: Settings) -> dict[str, Any]:
    """Every setting of the run, none left open.

    Raises:
        PalimpsestError: a setting that is unknown or out of range, or a concept that the judge
            does not know, so that nobody could tell whether it is forgotten.
    """
    from unlearn import UnlearnSettings, judging_plan
    from unlearn.layers import select

    try:
        chosen = UnlearnSettings.from_json(request.settings).resolved(request.kind)
        select(loaded.backbone.text_encoder.shapes, chosen.layers)
    except PalimpsestError as error:
        error.param = f"settings.{error.param}" if error.param else "settings"
        raise
    steps = chosen.schedule(request.kind).steps
    if steps > settings.max_unlearning_steps:
        raise InvalidRequest(
            f"steps is {steps}; at most {settings.max_unlearning_steps} are taken.",
            param="settings.steps",
        )
    for name in (request.concept, *request.synonyms):
        tokens = loaded.backbone.prompt_tokens(name)
        if tokens > loaded.backbone.limits.prompt_tokens // 2:
            raise InvalidRequest(
                f"{name!r} is {tokens} tokens long; a concept's name or synonym may fill half of "
                f"this model's prompts, {loaded.backbone.limits.prompt_tokens // 2} tokens.",
                param="concept" if name == request.concept else "synonyms",
            )
    if loaded.judge is None:
        raise NoJudge("This model came without a judge, so whether it forgets cannot be measured.")
    judging_plan(
        request.concept,
        request.kind,
        encoder=("", ""),
        judge=loaded.judge,
        book=loaded.backbone.prompts,
        limits=loaded.backbone.limits,
        targets=1,
        retained=0,
    )
    return chosen.to_json()


def make_images(jobs: Jobs, record: EncoderRecord) -> None:
    """The few images that show the concept, by the base; none are made if some were sent."""
    from unlearn import few_shot_requests, few_shots_of

    loaded = jobs.runtime.wait_loaded()
    work = _work(jobs.runtime, record)
    if not (work / "images.npy").exists():
        requests = few_shot_requests(
            record.concept,
            _kind(record),
            limits=loaded.backbone.limits,
            book=loaded.backbone.prompts,
            seed=_settings(record).seed,
        )
        tickets = [loaded.engine.submit(request) for request in requests]
        clips = jobs.follow(record.job_id, tickets, _reporter(jobs, record, "images"))
        save_images(work, few_shots_of(clips, _kind(record)))
    _reporter(jobs, record, "images")(1.0)


def optimise(jobs: Jobs, record: EncoderRecord) -> None:
    """The unlearning itself, a step at a time between other requests' steps; leaves a draft."""
    from unlearn import UnlearnTask, unlearn

    loaded = jobs.runtime.wait_loaded()
    work = _work(jobs.runtime, record)
    if not (work / "losses.json").exists():
        task = UnlearnTask(
            record.concept,
            _kind(record),
            np.load(work / "images.npy", allow_pickle=False),
            tuple(record.synonyms),
            _settings(record),
            record.id,
        )
        run = unlearn(task, loaded.backbone)
        share = 0.0

        def on_progress(progress: UnlearnProgress) -> None:
            nonlocal share
            share = progress.step / progress.steps

        ticket = loaded.engine.submit_iterator(lambda _: run, on_progress)
        report = _reporter(jobs, record, "optimising")
        jobs.follow(record.job_id, [ticket], report, share=lambda: share)
        _delete_draft(jobs.runtime, record)
        loaded.drafts.publish(run.encoder)
        _write(work / "losses.json", json.dumps(run.losses).encode())
    _reporter(jobs, record, "optimising")(1.0)


def judge(jobs: Jobs, record: EncoderRecord) -> None:
    """What it forgets and what it keeps, against the base; publishes it if it passes the gate.

    Raises:
        NotForgotten: it does not pass; its measures are in the record.
        EncoderExists: somebody published another encoder under its id meanwhile.
    """
    from server.report import report_of
    from unlearn import Gate, judging_plan

    runtime = jobs.runtime
    loaded, settings = runtime.wait_loaded(), runtime.settings
    if loaded.judge is None:
        raise NoJudge("This model came without a judge, so whether it forgets cannot be measured.")
    draft = loaded.drafts.draft(record.id)
    plan = judging_plan(
        record.concept,
        _kind(record),
        encoder=(draft.card.id, draft.card.digest),
        judge=loaded.judge,
        book=loaded.backbone.prompts,
        limits=loaded.backbone.limits,
        synonyms=record.synonyms,
        targets=settings.judged_targets,
        retained=settings.judged_others,
        videos=settings.judged_videos,
        seed=(_settings(record).seed + _JUDGING_SEEDS) % (MAX_SEED // 2),
    )
    tickets = [loaded.engine.submit(request) for request in plan.requests()]
    clips = jobs.follow(record.job_id, tickets, _reporter(jobs, record, "judging"))
    measures = plan.measure(clips, loaded.judge)
    runtime.records.change(record, measures=measures)
    gate = Gate(
        min_forget_rate=settings.min_forget_rate,
        max_retain_drop=settings.max_retain_drop,
        min_base_rate=settings.min_base_rate,
    )
    if failures := gate.failures(measures):
        raise NotForgotten(" ".join(failures))
    losses = json.loads((_work(runtime, record) / "losses.json").read_bytes())
    card = draft.card.model_copy(update={"measures": measures})
    files = report_of(plan, clips, losses, measures, loaded.backbone.limits.fps_default)
    try:
        loaded.store.publish(type(draft)(card, draft.overrides), files)
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


PHASES: Mapping[str, Callable[[Jobs, EncoderRecord], None]] = {
    "images": make_images,
    "optimising": optimise,
    "judging": judge,
}
"""In their order. A phase that is done already returns at once."""


def save_images(work: Path, pictures: Images) -> None:
    """Keep the few images, whole or not at all."""
    work.mkdir(parents=True, exist_ok=True)
    draft = work / "images.draft.npy"
    np.save(draft, pictures, allow_pickle=False)
    _replace(draft, work / "images.npy")


def discard(runtime: Runtime, record: EncoderRecord) -> None:
    """Remove what an encoder's making left, once it has ended or was deleted."""
    shutil.rmtree(_work(runtime, record), ignore_errors=True)
    _delete_draft(runtime, record)


def sweep(runtime: Runtime) -> None:
    """At start: remove what jobs left that ended or were deleted while nobody could clean up."""
    pending = {
        record.job_id
        for record in runtime.records.all(EncoderRecord, EncoderRecord.status.in_(PENDING))
    }
    runtime.work_dir.mkdir(parents=True, exist_ok=True)
    for work in runtime.work_dir.iterdir():
        if work.name not in pending:
            shutil.rmtree(work, ignore_errors=True)


def _reporter(jobs: Jobs, record: EncoderRecord, phase: str) -> Report:
    """Writes a phase's progress into the record; False when the record is gone."""
    names = list(PHASES)
    before = dict.fromkeys(names[: names.index(phase)], 100)

    def report(share: float | None) -> bool:
        if share is None and not before:
            return jobs.runtime.records.pending(record)  # nothing has begun: it is still queued
        phases = {**dict.fromkeys(names, 0), **before, phase: int(100 * (share or 0.0))}
        return jobs.runtime.records.change(
            record,
            status=IN_PROGRESS,
            phase=phase,
            phases=phases,
            progress=min(99, sum(phases.values()) // len(phases)),
        )

    return report


def _delete_draft(runtime: Runtime, record: EncoderRecord) -> None:
    # Before the models are loaded there is no store yet; a stale draft goes when the next is made.
    with suppress(EncoderNotFound, NotReady):
        runtime.loaded.drafts.delete(record.id)


def _settings(record: EncoderRecord) -> UnlearnSettings:
    from unlearn import UnlearnSettings

    return UnlearnSettings.from_json(record.settings)


def _kind(record: EncoderRecord) -> Kind:
    return cast(Kind, record.kind)


def _work(runtime: Runtime, record: EncoderRecord) -> Path:
    return runtime.work_dir / record.job_id


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    _replace(draft, path)


def _replace(draft: Path, path: Path) -> None:
    """Move a finished file into its place, and onto the disk first."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
