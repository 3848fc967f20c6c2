"""Making one encoder: images → optimising → judging → published, or failed with its measures.

Each phase leaves what it made on disk, so that after a kill the next start goes on with the phase
that was under way. Everything on the device goes through the engine at low priority.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders import (
    Card,
    Concept,
    Encoder,
    EncoderInvalid,
    PalimpsestError,
)
from server.api.schemas import EncoderRequest
from server.errors import InvalidRequest
from server.jobs.judging import judge, judge_of
from server.jobs.workspace import PHASES, delete_draft, replace, reporter, work_folder, write
from server.settings import Settings
from server.storage.records import EncoderRecord

if TYPE_CHECKING:
    from server.jobs.workflows import Jobs
    from server.runtime import Loaded, Runtime
    from unlearn import UnlearnSettings
    from unlearn.task import UnlearnProgress

Images = NDArray[np.uint8]


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
    from unlearn import UnlearnSettings
    from unlearn.trial.probes import judging_plan

    try:
        asked = UnlearnSettings.from_json(request.settings)
        chosen = asked.suited(loaded.backbone.text_encoder.shapes).resolved()
        if _looks(chosen):
            loaded.backbone.denoiser(is_video=False)
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
            if tokens > loaded.backbone.capabilities.prompt_tokens // 2:
                raise InvalidRequest(
                    f"{name!r} is {tokens} tokens long; a concept's name or synonym may fill half "
                    f"of this model's prompts, "
                    f"{loaded.backbone.capabilities.prompt_tokens // 2} tokens.",
                    param="concept" if name == concept.name else "synonyms",
                )
    judging_plan(
        (*(parent.concepts if parent else ()), *wanted),
        encoder=("", ""),
        judge=judge_of(loaded),
        book=loaded.backbone.prompts,
        capabilities=loaded.backbone.capabilities,
        most=1,
    )
    return chosen.to_json()


def make_images(jobs: Jobs, record: EncoderRecord) -> None:
    """The few images that show the concepts, by the base; none are made if some were sent, or if
    the method does not look at any.
    """
    from unlearn.few_shots import few_shot_requests, few_shots_of

    loaded = jobs.runtime.wait_loaded()
    work = work_folder(jobs.runtime, record)
    asked = {
        number: few_shot_requests(
            concept.name,
            concept.kind,
            capabilities=loaded.backbone.capabilities,
            book=loaded.backbone.prompts,
            seed=_settings(record).seed,
        )
        for number, concept in enumerate(_wanted(jobs.runtime, record))
        if _looks(_settings(record)) and not _images(work, number).exists()
    }
    tickets = [loaded.engine.submit(request) for some in asked.values() for request in some]
    if tickets:
        clips = iter(jobs.follow(record.job_id, tickets, reporter(jobs, record, "images")))
        for number, some in asked.items():
            kind = _wanted(jobs.runtime, record)[number].kind
            save_images(work, number, few_shots_of(list(islice(clips, len(some))), kind))
    reporter(jobs, record, "images")(1.0)


def optimise(jobs: Jobs, record: EncoderRecord) -> None:
    """The unlearning itself, a step at a time between other requests' steps; leaves a draft."""
    from unlearn import UnlearnTask, unlearn

    loaded = jobs.runtime.wait_loaded()
    work = work_folder(jobs.runtime, record)
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
        report = reporter(jobs, record, "optimising")
        jobs.follow(record.job_id, [ticket], report, share=lambda: share)
        delete_draft(jobs.runtime, record)
        loaded.drafts.publish(run.encoder)
        write(work / "losses.json", json.dumps(run.losses).encode())
    reporter(jobs, record, "optimising")(1.0)


STEPS: Mapping[str, Callable[[Jobs, EncoderRecord], None]] = dict(
    zip(PHASES, (make_images, optimise, judge), strict=True)
)
"""What is done in each phase. One that is done already returns at once."""


def save_images(work: Path, number: int, pictures: Images) -> None:
    """Keep the few images of the job's concept of that number, whole or not at all."""
    work.mkdir(parents=True, exist_ok=True)
    draft = work / "images.draft.npy"
    np.save(draft, pictures, allow_pickle=False)
    replace(draft, _images(work, number))


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
    return settings.method_spec.learns_from_images


def _images(work: Path, number: int) -> Path:
    return work / f"images-{number}.npy"
