"""Phases of making an encoder, and the progress that a job's record shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from server.jobs.phase_times import PhaseTimes
from server.storage.record_store import RecordStore
from server.storage.records import IN_PROGRESS, EncoderRecord

Report = Callable[[float | None], bool]
"""Writes progress, 0 to 1 or None if the work has not begun. False: the job's row is gone."""


class Phase(StrEnum):
    """The phases of an encoder job, in their order."""

    NAMING = "naming"
    WAYS = "ways"
    IMAGES = "images"
    OPTIMISING = "optimising"
    JUDGING = "judging"


def percent_of_phases(done: Phase | None = None) -> dict[str, int]:
    """Return the percent of each phase: 100 up to and including `done`, 0 after it."""
    phases = list(Phase)
    count = 0 if done is None else phases.index(done) + 1
    return {phase.value: 100 if i < count else 0 for i, phase in enumerate(phases)}


def phase_reporter(
    records: RecordStore,
    times: PhaseTimes,
    record: EncoderRecord,
    phase: Phase,
    more: Callable[[], Mapping[str, Any]] = dict,
) -> Report:
    """Return a function that writes the progress of `phase` into the job's row.

    The job's progress is the share of its expected time that has passed, and never falls.

    Args:
        records: The rows of jobs.
        times: Times of the phases.
        record: The job.
        phase: The phase that is reported.
        more: Returns values of other columns to write with each report.
    """
    earlier = list(Phase)[: list(Phase).index(phase)]
    timing = times.begin(record, phase)
    progress = record.progress

    def report(share: float | None) -> bool:
        nonlocal progress
        if share is None and not earlier:
            return records.is_pending(record)  # nothing has begun: the job stays queued
        phases = percent_of_phases(earlier[-1] if earlier else None)
        phases[phase.value] = int(100 * (share or 0.0))
        passed = timing.passed(share or 0.0)
        progress = max(progress, min(99, int(100 * passed)))
        return records.note(
            record,
            status=IN_PROGRESS,
            phase=phase.value,
            phases=phases,
            progress=progress,
            seconds_left=timing.seconds_left(),
            **more(),
        )

    return report
