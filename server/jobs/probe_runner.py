"""The rounds of probes of one job: made, judged, and remembered in its work folder.

What is remembered is each probe's outcome, and the two clips of those that the report shows. After
a kill the rounds that were done are not asked again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from server.jobs.workspace import replace, reporter, work_folder, write
from server.storage.base_clips import BaseClips, model_digest
from server.storage.records import EncoderRecord
from unlearn.report.build import shown_of

if TYPE_CHECKING:
    from server.jobs.workflows import Jobs
    from unlearn.judges.base import Judge
    from unlearn.trial.measures import Outcome
    from unlearn.trial.probes import Probe
    from unlearn.trial.trial import Trial
    from video.frames import Frames

Row = dict[str, Any]
"""What a probe asked, and what the judge saw: a line of `outcomes.json`."""


class ProbeRunner:
    """Has probes made by the engine, and judged."""

    def __init__(self, jobs: Jobs, record: EncoderRecord, judge: Judge) -> None:
        runtime = jobs.runtime
        self._jobs = jobs
        self._record = record
        self._judge = judge
        self._loaded = runtime.wait_loaded()
        settings = runtime.settings
        self._base_clips = BaseClips(
            settings.data_dir / "base-clips",
            settings.base_clips_bytes,
            model_digest(self._loaded.backbone),
        )
        self._work = work_folder(runtime, record)
        self._file = self._work / "outcomes.json"
        rows: list[Row] = json.loads(self._file.read_bytes()) if self._file.exists() else []
        self._rows = {_name(row): row for row in rows}

    def outcomes(self, probes: Sequence[Probe], trial: Trial) -> list[Outcome]:
        """The outcomes of the trial's next round: those remembered, or else those made now."""
        from unlearn.trial.measures import Outcome, outcome_of

        known = [self._rows.get(_name(_question(probe))) for probe in probes]
        if all(known):
            return [
                Outcome(probe, row["base"], row["encoder"])
                for probe, row in zip(probes, known, strict=True)
                if row is not None
            ]
        pairs = self._made(probes, trial)
        found = [
            outcome_of(probe, base, encoder, self._judge)
            for probe, (base, encoder) in zip(probes, pairs, strict=True)
        ]
        shown = set(shown_of([*trial.outcomes, *found]))
        for outcome, (base, encoder) in zip(found, pairs, strict=True):
            if outcome in shown:
                self._keep(outcome.probe, base, encoder)
        for outcome in found:
            row = _question(outcome.probe)
            self._rows[_name(row)] = {
                **row,
                "base": outcome.by_base,
                "encoder": outcome.by_encoder,
            }
        write(self._file, json.dumps(list(self._rows.values()), indent=1).encode())
        return found

    def pair(self, probe: Probe) -> tuple[Frames, Frames]:
        """The base's and the encoder's clip of a probe that the report shows."""
        with np.load(self._pair_file(probe), allow_pickle=False) as pair:
            return pair["base"], pair["encoder"]

    def _made(self, probes: Sequence[Probe], trial: Trial) -> list[tuple[Frames, Frames]]:
        """Both clips of every probe: the encoder's, and the base's where none is kept."""
        base = [self._base_clips.get(probe.base) for probe in probes]
        missing = [i for i, clip in enumerate(base) if clip is None]
        requests = [*(probes[i].base for i in missing), *(probe.encoder for probe in probes)]
        tickets = [self._loaded.engine.submit(request) for request in requests]
        before, most = len(trial.outcomes), trial.most

        def share() -> float:
            now = sum(ticket.progress for ticket in tickets) / len(tickets)
            return (before + now * len(probes)) / most

        report = reporter(self._jobs, self._record, "judging")
        clips = self._jobs.follow(
            self._record.job_id,
            tickets,
            # A round that has not begun is as far as the ones before it have come.
            lambda now: report(before / most if now is None else now),
            share,
        )
        for i, clip in zip(missing, clips, strict=False):
            self._base_clips.put(probes[i].base, clip)
            base[i] = clip
        by_base = [clip for clip in base if clip is not None]
        return list(zip(by_base, clips[len(missing) :], strict=True))

    def _keep(self, probe: Probe, base: Frames, encoder: Frames) -> None:
        file = self._pair_file(probe)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft.npz")
        np.savez(draft, base=base, encoder=encoder)
        replace(draft, file)

    def _pair_file(self, probe: Probe) -> Path:
        return self._work / "shown" / f"{_name(_question(probe))}.npz"


def _question(probe: Probe) -> Row:
    """What tells a probe from the others of its job."""
    return {
        "concept": probe.concept,
        "kind": probe.kind,
        "target": probe.is_target,
        "prompt": probe.base.prompt,
        "seed": probe.base.seed,
        "frames": probe.base.frames,
    }


def _name(row: Row) -> str:
    """A hash of what a row asks, whatever was seen."""
    asked = {name: value for name, value in row.items() if name not in ("base", "encoder")}
    return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
