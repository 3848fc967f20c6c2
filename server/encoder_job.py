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
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders import (
    Card,
    Concept,
    Encoder,
    EncoderExists,
    EncoderInvalid,
    EncoderNotFound,
    PalimpsestError,
)
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

_NO_JUDGE = (
    "This model came without a judge, so whether it forgets cannot be measured; the server's "
    "PALIMPSEST_JUDGE names one."
)

Images = NDArray[np.uint8]
Report = Callable[[float | None], bool]


class NotForgotten(PalimpsestError):
    """The judge did not let the encoder through."""

    code = "gate_failed"


class NoJudge(PalimpsestError):
    """The model came without a judge, so no encoder can be shown to forget."""

    code = "no_judge"


def parent_of(request: EncoderRequest, loaded: Loaded) -> Card | None:
    """The card of the encoder to go on from, if one is named by its id or an alias.

    Raises:
        EncoderNotFound: there is none of that name.
        InvalidRequest: it forgets one of the concepts already.
    """
    if request.parent is None:
        return None
    try:
        card = loaded.store.card(loaded.store.resolve(request.parent))
    except PalimpsestError as error:
        error.param = "parent"
        raise
    already = {(concept.name, concept.kind) for concept in card.concepts}
    for concept in request.wanted():
        if (concept.name, concept.kind) in already:
            raise InvalidRequest(f"{card.id!r} forgets {concept.name!r} already.", param="concepts")
    return card


def checked_settings(
    request: EncoderRequest, parent: Card | None, loaded: Loaded, settings: Settings
) -> dict[str, Any]:
    """Every setting of the run, none left open.

    Raises:
        PalimpsestError: a setting that is unknown or out of range, or a concept that the judge
            does not know, so that nobody could tell whether it is forgotten.
    """
    from unlearn import UnlearnSettings, judging_plan
    from unlearn.layers import select

    try:
        chosen = UnlearnSettings.from_json(request.settings).resolved()
        select(loaded.backbone.text_encoder.shapes, chosen.layers)
    except PalimpsestError as error:
        error.param = f"settings.{error.param}" if error.param else "settings"
        raise
    steps = chosen.schedule().steps
    if steps > settings.max_unlearning_steps:
        raise InvalidRequest(
            f"steps is {steps}; at most {settings.max_unlearning_steps} are taken.",
            param="settings.steps",
        )
    wanted = request.wanted()
    for concept in wanted:
        if sum((concept.name, concept.kind) == (c.name, c.kind) for c in wanted) > 1:
            raise InvalidRequest(f"{concept.name!r} is named twice.", param="concepts")
        for name in (concept.name, *concept.synonyms):
            tokens = loaded.backbone.prompt_tokens(name)
            if tokens > loaded.backbone.limits.prompt_tokens // 2:
                raise InvalidRequest(
                    f"{name!r} is {tokens} tokens long; a concept's name or synonym may fill half "
                    f"of this model's prompts, {loaded.backbone.limits.prompt_tokens // 2} tokens.",
                    param="concept" if name == concept.name else "synonyms",
                )
    if loaded.judge is None:
        raise NoJudge(_NO_JUDGE)
    judging_plan(
        (*(parent.concepts if parent else ()), *wanted),
        encoder=("", ""),
        judge=loaded.judge,
        book=loaded.backbone.prompts,
        limits=loaded.backbone.limits,
        targets=1,
        retained=0,
    )
    return chosen.to_json()


def make_images(jobs: Jobs, record: EncoderRecord) -> None:
    """The few images that show the concepts, by the base; none are made if some were sent, or if
    the method does not look at any."""
    from unlearn import few_shot_requests, few_shots_of

    loaded = jobs.runtime.wait_loaded()
    work = _work(jobs.runtime, record)
    asked = {
        number: few_shot_requests(
            concept.name,
            concept.kind,
            limits=loaded.backbone.limits,
            book=loaded.backbone.prompts,
            seed=_settings(record).seed,
        )
        for number, concept in enumerate(_wanted(jobs.runtime, record))
        if _looks(_settings(record)) and not _images(work, number).exists()
    }
    tickets = [loaded.engine.submit(request) for some in asked.values() for request in some]
    if tickets:
        clips = iter(jobs.follow(record.job_id, tickets, _reporter(jobs, record, "images")))
        for number, some in asked.items():
            kind = _wanted(jobs.runtime, record)[number].kind
            save_images(work, number, few_shots_of(list(islice(clips, len(some))), kind))
    _reporter(jobs, record, "images")(1.0)


def optimise(jobs: Jobs, record: EncoderRecord) -> None:
    """The unlearning itself, a step at a time between other requests' steps; leaves a draft."""
    from unlearn import UnlearnTask, unlearn

    loaded = jobs.runtime.wait_loaded()
    work = _work(jobs.runtime, record)
    if not (work / "losses.json").exists():
        concepts, settings = _wanted(jobs.runtime, record), _settings(record)
        images = [_images(work, i) for i in range(len(concepts) if _looks(settings) else 0)]
        task = UnlearnTask(
            tuple(concepts),
            settings,
            tuple(np.load(path, allow_pickle=False) for path in images),
            record.id,
            _parent(loaded, record),
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
        raise NoJudge(_NO_JUDGE)
    draft = loaded.drafts.draft(record.id)
    plan = judging_plan(
        draft.card.concepts,
        encoder=(draft.card.id, draft.card.digest),
        judge=loaded.judge,
        book=loaded.backbone.prompts,
        limits=loaded.backbone.limits,
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


def save_images(work: Path, number: int, pictures: Images) -> None:
    """Keep the few images of the job's concept of that number, whole or not at all."""
    work.mkdir(parents=True, exist_ok=True)
    draft = work / "images.draft.npy"
    np.save(draft, pictures, allow_pickle=False)
    _replace(draft, _images(work, number))


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


def _wanted(runtime: Runtime, record: EncoderRecord) -> list[Concept]:
    """The concepts that the job itself has to unlearn: its parent's are done."""
    concepts = [Concept.model_validate(concept) for concept in record.concepts]
    parent = _parent(runtime.loaded, record)
    return concepts[len(parent.card.concepts) if parent else 0 :]


def _parent(loaded: Loaded, record: EncoderRecord) -> Encoder | None:
    """The encoder to go on from.

    Raises:
        EncoderNotFound, EncoderInvalid: it was deleted, or replaced, since the job was accepted.
    """
    if record.parent is None:
        return None
    parent = loaded.store.load(record.parent)
    if parent.card.digest != record.parent_digest:
        raise EncoderInvalid(
            f"Encoder {record.parent!r} is no longer the one this job was to go on from.",
            param="parent",
        )
    return parent


def _looks(settings: UnlearnSettings) -> bool:
    """Whether the method learns from images."""
    return settings.method == "ascent"


def _images(work: Path, number: int) -> Path:
    return work / f"images-{number}.npy"


def _work(runtime: Runtime, record: EncoderRecord) -> Path:
    return runtime.work_dir / record.job_id


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    _replace(draft, path)


def _replace(draft: Path, path: Path) -> None:
    """Move a finished file into its place, and onto the disk first."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
