"""Phases of making an encoder, and the progress that a job's record shows."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from server.storage.record_store import RecordStore
from server.storage.records import IN_PROGRESS, EncoderRecord

Report = Callable[[float | None], bool]
"""Writes progress, 0 to 1 or None if the work has not begun. False: the job's row is gone."""


class Phase(StrEnum):
    """The phases of an encoder job, in their order."""

    IMAGES = "images"
    OPTIMISING = "optimising"
    JUDGING = "judging"


def percent_of_phases(done: Phase | None = None) -> dict[str, int]:
    """Return the percent of each phase: 100 up to and including `done`, 0 after it."""
    phases = list(Phase)
    count = 0 if done is None else phases.index(done) + 1
    return {phase.value: 100 if i < count else 0 for i, phase in enumerate(phases)}


def phase_reporter(records: RecordStore, record: EncoderRecord, phase: Phase) -> Report:
    """Return a function that writes the progress of `phase` into the job's row."""
    earlier = list(Phase)[: list(Phase).index(phase)]

    def report(share: float | None) -> bool:
        if share is None and not earlier:
            return records.is_pending(record)  # nothing has begun: the job stays queued
        phases = percent_of_phases(earlier[-1] if earlier else None)
        phases[phase.value] = int(100 * (share or 0.0))
        return records.note(
            record,
            status=IN_PROGRESS,
            phase=phase.value,
            phases=phases,
            progress=min(99, sum(phases.values()) // len(phases)),
        )

    return report
