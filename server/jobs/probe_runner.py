"""Probe runner: makes the probes of one encoder job, has them judged, and remembers the outcomes.

The workspace keeps each probe's outcome, and both clips of the probes that the report shows. After
a kill the rounds that are done are not made again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from encoders import Concept
from server.jobs.context import JobContext
from server.jobs.phases import Phase, phase_reporter
from server.jobs.workspace import OutcomeRow
from server.outage import brief
from server.storage.base_clips import BaseClips, model_digest
from server.storage.owned_names import BASE_CLIPS
from server.storage.records import EncoderRecord
from unlearn.report.build import shown_of

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from unlearn.trial.outcomes import Outcome
    from unlearn.trial.probes import Probe
    from unlearn.trial.trial import Trial
    from video.frames import Frames
    from video.generation_request import GenerationRequest

log = logging.getLogger(__name__)

_MORE = ("redirected_to", "valid_base", "valid_encoder", "distance", "seed_distance", "wavering")
"""Fields of an outcome beside the judge's two answers; rows of older jobs lack them."""


class ProbeRunner:
    """The probes of one job, by the engine and the judge."""

    def __init__(
        self, context: JobContext, record: EncoderRecord, judge: Judge, concepts: Sequence[Concept]
    ) -> None:
        self._tracker = context.tracker
        self._concepts = concepts
        self._record = record
        self._judge = judge
        loaded = context.wait_loaded()
        self._engine = loaded.engine
        settings = context.settings
        self._base_clips = BaseClips(
            context.store.blobs(BASE_CLIPS),
            settings.base_clips_bytes,
            model_digest(loaded.backbone),
        )
        self._workspace = context.workspace(record)
        self._rows = {_name(row): row for row in self._workspace.load_outcomes()}
        self._report = phase_reporter(context.records, context.phase_times, record, Phase.JUDGING)

    def outcomes(self, probes: Sequence[Probe], trial: Trial) -> list[Outcome]:
        """Return the outcomes of the trial's next round: the remembered ones, or else new ones."""
        from unlearn.trial.outcomes import Outcome, outcome_of

        known = [self._rows.get(_name(_question(probe))) for probe in probes]
        if all(known):
            return [
                Outcome(
                    probe,
                    row["base"],
                    row["encoder"],
                    **{field: row[field] for field in _MORE if field in row},
                )
                for probe, row in zip(probes, known, strict=True)
                if row is not None
            ]
        pairs, again = self._make_pairs(probes, trial)
        found = [
            outcome_of(
                probe, base, encoder, self._judge, forgotten=self._concepts, again=again.get(probe)
            )
            for probe, (base, encoder) in zip(probes, pairs, strict=True)
        ]
        shown = set(shown_of([*trial.outcomes, *found]))
        for outcome, (base, encoder) in zip(found, pairs, strict=True):
            if outcome in shown:
                self._workspace.save_pair(_name(_question(outcome.probe)), base, encoder)
        for outcome in found:
            row = _question(outcome.probe)
            self._rows[_name(row)] = {
                **row,
                "base": outcome.by_base,
                "encoder": outcome.by_encoder,
                **{field: getattr(outcome, field) for field in _MORE},
            }
        self._workspace.save_outcomes(self._rows.values())
        return found

    def pair(self, probe: Probe) -> tuple[Frames, Frames]:
        """Return the base's and the encoder's clip of a probe that the report shows."""
        return self._workspace.load_pair(_name(_question(probe)))

    def _make_pairs(
        self, probes: Sequence[Probe], trial: Trial
    ) -> tuple[list[tuple[Frames, Frames]], dict[Probe, Frames]]:
        """Make both clips of every probe; the base's only where none is kept.

        Returns:
            The pairs, and the base's clips with another seed of the probes that ask for one.
        """
        asked = [probe.base for probe in probes]
        asked += [probe.again for probe in probes if probe.again is not None]
        base = {request: self._base_clips.get(request) for request in asked}
        missing = [request for request, clip in base.items() if clip is None]
        requests = [*missing, *(probe.encoder for probe in probes)]
        tickets = [self._engine.submit(request) for request in requests]
        judged, most = len(trial.outcomes), trial.most

        def report(share: float | None) -> bool:
            return self._report((judged + (share or 0.0) * len(probes)) / most)

        clips = self._tracker.follow(self._record.job_id, tickets, report)
        for request, clip in zip(missing, clips, strict=False):
            self._keep(request, clip)
            base[request] = clip
        made = {request: clip for request, clip in base.items() if clip is not None}
        by_encoder = clips[len(missing) :]
        return (
            [(made[p.base], clip) for p, clip in zip(probes, by_encoder, strict=True)],
            {p: made[p.again] for p in probes if p.again is not None},
        )

    def _keep(self, request: GenerationRequest, clip: Frames) -> None:
        """Put a clip into the cache, unless storage is out: the job can do without."""
        try:
            self._base_clips.put(request, clip)
        except OSError as error:
            log.warning("a clip of the base is not kept: %s", brief(error))


def _question(probe: Probe) -> OutcomeRow:
    """Return the fields that distinguish a probe from the others of its job."""
    return {
        "concept": probe.concept,
        "kind": probe.kind,
        "target": probe.is_target,
        "prompt": probe.base.prompt,
        "seed": probe.base.seed,
        "frames": probe.base.frames,
        "neighbour": probe.neighbour,
    }


def _name(row: OutcomeRow) -> str:
    """Return the hash of a row's question, without its outcome."""
    outcome = ("base", "encoder", *_MORE)
    question = {name: value for name, value in row.items() if name not in outcome}
    return sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
