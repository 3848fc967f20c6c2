"""Times of an encoder's phases: expected at first, then measured.

A phase's time is its amount of work times the seconds that a unit took last: pictures that are
named, a picture of a search for ways, an image, a step of the optimisation, or a probe that
is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from server.storage.records import EncoderRecord
from unlearn.settings import UnlearnSettings
from unlearn.trial.gate import Gate
from unlearn.trial.probes import NEAREST
from unlearn.trial.stages import fewest_probes

_EXPECTED_SECONDS: Mapping[str, float] = {
    "naming": 10.0,
    "ways": 0.12,
    "images": 1.0,
    "optimising": 0.25,
    "judging": 0.8,
}
"""Seconds of a unit of each phase, of the built-in model on two cores. Only their proportions
matter: the first phase that has work is measured, and the others are scaled to it."""
_CLIP = 8
"""Stills that take as long as a clip: the probes of a motion are clips."""
_IMAGES = 4
"""Images made for a concept."""
_LEAST_SHARE = 0.05
"""Share of a phase after which its time can be told from what has passed."""

Clock = Callable[[], float]


class PhaseTimes:
    """Seconds that a unit of each phase took, as the last jobs of this process measured them."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.measured: dict[str, float] = {}

    def begin(self, record: EncoderRecord, phase: str) -> PhaseTiming:
        """Return the timing of a job's phase that begins now, or goes on after a restart."""
        return PhaseTiming(self, record, phase)

    def expected_seconds(self, record: EncoderRecord) -> int:
        """Return the time that a job is likely to take, before it begins.

        While nothing is measured, it is that of the built-in model on two cores.
        """
        return round(sum(self.begin(record, "naming").seconds_by_phase().values()))

    def seconds_of_unit(self, phase: str) -> float:
        """Return the measured seconds; without any, the expected ones scaled to what is known."""
        if phase in self.measured:
            return self.measured[phase]
        ratios = [seconds / _EXPECTED_SECONDS[name] for name, seconds in self.measured.items()]
        return _EXPECTED_SECONDS[phase] * (sum(ratios) / len(ratios) if ratios else 1.0)


class PhaseTiming:
    """The time of one phase of one job, and of the phases around it."""

    def __init__(self, times: PhaseTimes, record: EncoderRecord, phase: str) -> None:
        self._times = times
        self._phase = phase
        self._work = work_of(record, times.seconds_of_unit("optimising"))
        usual, most = probes_of(record)
        self._usual = min(1.0, usual / most) if most else 1.0
        self._began: tuple[float, float] | None = None
        self._done = 0.0

    def passed(self, share: float) -> float:
        """Return the share of the job's expected time that has passed, 0 to 1.

        Args:
            share: Share of the phase that is done; of judging, of the probes that may be asked.
        """
        now = self._times.clock()
        self._done = self._time_share(share)
        if self._began is None:
            self._began = now, self._done
        began, done_before = self._began
        progressed = self._done - done_before
        if progressed >= _LEAST_SHARE and now > began and self._work[self._phase]:
            seconds = (now - began) / progressed
            self._times.measured[self._phase] = seconds / self._work[self._phase]
        seconds = self.seconds_by_phase()
        names = list(seconds)
        before = sum(seconds[name] for name in names[: names.index(self._phase)])
        whole = sum(seconds.values())
        return (before + self._done * seconds[self._phase]) / whole if whole else self._done

    def seconds_left(self) -> int | None:
        """Return the estimate of the time to the job's end; None while nothing is measured."""
        if not self._times.measured:
            return None
        seconds = self.seconds_by_phase()
        names = list(seconds)
        after = sum(seconds[name] for name in names[names.index(self._phase) + 1 :])
        return round((1 - self._done) * seconds[self._phase] + after)

    def seconds_by_phase(self) -> dict[str, float]:
        """Return the seconds that each phase takes, measured or expected."""
        return {
            name: amount * self._times.seconds_of_unit(name) for name, amount in self._work.items()
        }

    def _time_share(self, share: float) -> float:
        """Return the share of the phase's usual time. Judging mostly ends before all are asked."""
        if self._phase != "judging" or self._usual == 1.0:
            return share
        most = 0.9  # what is asked beyond the usual number shares the last tenth
        if share <= most * self._usual:
            return share / self._usual
        return most + (1 - most) * (share - most * self._usual) / (1 - most * self._usual)


def work_of(record: EncoderRecord, seconds_of_step: float) -> dict[str, float]:
    """Return the amount of work in each phase of a job; 0 for one that has nothing to do.

    Args:
        record: The job's.
        seconds_of_step: Seconds of one step of the optimisation: a run with a budget takes no more
            steps than fit into it.
    """
    concepts = max(1, len(record.concepts))  # pictures show one that is not named yet
    judging = probes_of(record)[0]
    if record.judges is not None or record.composes:  # encoders that exist
        return {"naming": 0, "ways": 0, "images": 0, "optimising": 0, "judging": judging}
    settings = UnlearnSettings.from_json(record.own_settings)
    method = settings.method_spec
    learnt = concepts if method.learns_from_images else 0
    if method.takes_images:
        learnt = sum(kind != "motion" for kind in _kinds(record))
    images = _IMAGES * learnt
    steps: float = settings.schedule().steps
    if settings.max_seconds is not None:
        steps = min(steps, settings.max_seconds / seconds_of_step)
    ways = record.way_pictures * concepts
    return {
        "naming": int(record.names_pictures),
        "ways": ways,
        "images": images,
        "optimising": steps,
        "judging": judging,
    }


def probes_of(record: EncoderRecord) -> tuple[float, float]:
    """Return the probes that usually decide about a good encoder, and the most there can be.

    A clip counts as several: a motion's probes are all clips.
    """
    gate = Gate(**record.gate)
    usual_target, usual_retain = (
        min(most, fewest_probes(limit, by_interval=gate.by_interval))
        for most, limit in (
            (gate.max_probes, 1 - gate.min_forget_rate),
            (gate.most_retain_probes, gate.max_retain_drop),
        )
    )
    usual, most = float(usual_retain), float(gate.most_retain_probes)
    for kind in _kinds(record):
        weight = _CLIP if kind == "motion" else 1
        near = NEAREST * gate.neighbour_probes
        usual += weight * (usual_target + near)
        most += weight * (gate.max_probes + near)
    return usual, most


def _kinds(record: EncoderRecord) -> list[str]:
    """Return the concepts' kinds; one that pictures show and that is not named yet counts too."""
    return [concept["kind"] for concept in record.concepts] or ["object"]
