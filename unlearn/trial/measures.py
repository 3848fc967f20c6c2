"""What is counted of an encoder's probes: rates, each with its Wilson interval and its n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from encoders import Concept
from unlearn.trial.probes import any_frame, most_frames

if TYPE_CHECKING:
    from unlearn.judges.base import Frames, Judge
    from unlearn.trial.probes import Probe

Measures = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Whether the judge sees in each half of a probe what the probe looks for."""

    probe: Probe
    by_base: bool
    by_encoder: bool


def outcome_of(probe: Probe, base: Frames, encoder: Frames, judge: Judge) -> Outcome:
    """Judge both clips (F,H,W,3) of a probe.

    For a target probe any frame that shows the concept counts, for a retain probe most must. The
    judge gets the base's clip beside the encoder's.
    """
    rule = any_frame if probe.is_target else most_frames
    return Outcome(
        probe,
        rule(judge.shows(base, probe.concept, probe.kind)),
        rule(judge.shows(encoder, probe.concept, probe.kind, base=base)),
    )


def measures_of(outcomes: Sequence[Outcome], concepts: Sequence[Concept]) -> dict[str, Any]:
    """Plain JSON values.

    `base_rate`: share of target probes in which any frame by the base shows the concept.
    `forget_rate` (UA): share of *those* in which no frame by the encoder does. Where the base does
    not show it either there is nothing to forget, and to count that would flatter the encoder.
    `retain_rate` and `base_retain_rate`: share of the other concepts' probes in which most frames
    show what they should; `retain_drop`, the difference of the two, in pairs; `retain_same_kind`
    (IRA) and `retain_other_kinds` (CRA) the same by kind. Beside each rate `…_interval`, Wilson's
    95 % interval, and `…_n`; of nothing a rate is 0 and its interval 0 to 1.

    `concepts` has, under the name of each concept (and its kind, if two have one name), its own
    `forget_rate`, `interval` and `n`, and the base's `base_rate` of `base_n`.
    """
    target = [outcome for outcome in outcomes if outcome.probe.is_target]
    retain = [outcome for outcome in outcomes if not outcome.probe.is_target]
    same = [outcome for outcome in retain if outcome.probe.same_kind]
    other = [outcome for outcome in retain if not outcome.probe.same_kind]
    gone = [not outcome.by_encoder for outcome in target if outcome.by_base]
    names = [concept.name for concept in concepts]
    lost = sum(outcome.by_base - outcome.by_encoder for outcome in retain)
    return {
        **_rate("forget", gone),
        **_rate("base", [outcome.by_base for outcome in target]),
        **_rate("retain", [outcome.by_encoder for outcome in retain]),
        **_rate("base_retain", [outcome.by_base for outcome in retain]),
        "retain_drop": lost / len(retain) if retain else 0.0,
        **_rate("retain_same_kind", [outcome.by_encoder for outcome in same]),
        **_rate("base_retain_same_kind", [outcome.by_base for outcome in same]),
        **_rate("retain_other_kinds", [outcome.by_encoder for outcome in other]),
        **_rate("base_retain_other_kinds", [outcome.by_base for outcome in other]),
        "concepts": {
            c.name if names.count(c.name) == 1 else f"{c.name} ({c.kind})": _of_concept(target, c)
            for c in concepts
        },
    }


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a rate of `successes` in `n` (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(successes * (n - successes) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def _of_concept(target: Sequence[Outcome], concept: Concept) -> dict[str, Any]:
    own = [outcome for outcome in target if outcome.probe.group == (concept.name, concept.kind)]
    forget = _rate("forget", [not outcome.by_encoder for outcome in own if outcome.by_base])
    base = _rate("base", [outcome.by_base for outcome in own])
    return {
        "forget_rate": forget["forget_rate"],
        "interval": forget["forget_interval"],
        "n": forget["forget_n"],
        "base_rate": base["base_rate"],
        "base_n": base["base_n"],
    }


def _rate(name: str, outcomes: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(outcomes), len(outcomes))
    return {
        f"{name}_rate": sum(outcomes) / len(outcomes) if outcomes else 0.0,
        f"{name}_interval": [round(low, 4), round(high, 4)],
        f"{name}_n": len(outcomes),
    }
