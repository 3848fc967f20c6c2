"""Measures: the rates of an encoder's outcomes, each with its Wilson interval and its n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from encoders import Concept, Kind
from unlearn.trial.probes import any_frame, most_frames

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from unlearn.trial.probes import Probe
    from video.frames import Frames

Measures = Mapping[str, Any]
"""JSON values by name, as `measures_of` returns them."""


@dataclass(frozen=True)
class Outcome:
    """A probe and the judge's two answers."""

    probe: Probe
    by_base: bool
    """True if the base's clip shows the concept that the probe looks for."""
    by_encoder: bool
    """True if the encoder's clip shows it."""


def outcome_of(
    probe: Probe,
    base: Frames,
    encoder: Frames,
    judge: Judge,
    *,
    forgotten: Sequence[Concept] = (),
) -> Outcome:
    """Judge both clips (F,H,W,3) of a probe.

    For a target probe any frame that shows the concept counts, for a retain probe most must. The
    judge gets the base's clip beside the encoder's. A target probe's clip by the encoder must show
    none of `forgotten` either: one concept's prompts must not lead to another's.
    """
    rule = any_frame if probe.is_target else most_frames
    looked_for: set[tuple[str, Kind]] = {(probe.concept, probe.kind)}
    if probe.is_target:
        looked_for |= {(concept.name, concept.kind) for concept in forgotten}
    return Outcome(
        probe,
        rule(judge.shows(base, probe.concept, probe.kind)),
        any(rule(judge.shows(encoder, *one, base=base)) for one in sorted(looked_for)),
    )


def measures_of(outcomes: Sequence[Outcome], concepts: Sequence[Concept]) -> dict[str, Any]:
    """Compute the measures of some outcomes as JSON values.

    `base_rate` is the share of target probes in which any frame by the base shows the concept, and
    `forget_rate` (UA) the share of *those* in which no frame by the encoder does. Where the base
    does not show the concept either, there is nothing to forget, and to count it would flatter the
    encoder.

    `retain_rate` and `base_retain_rate` are the shares of the other concepts' probes in which most
    frames show the concept, by the encoder and by the base; `retain_drop` is the difference of the
    two, in pairs. `retain_same_kind_rate` (IRA) and `retain_other_kinds_rate` (CRA) split
    `retain_rate` by kind.

    Each rate `x_rate` has `x_interval`, Wilson's 95 % interval, and `x_n` beside it. With n = 0 a
    rate is 0 and its interval 0 to 1.

    `concepts` has, under the name of each concept (and its kind, if two share a name), its own
    `forget_rate`, `interval` and `n`, and the base's `base_rate` and `base_n`.

    Args:
        outcomes: the outcomes to count.
        concepts: the concepts that are to be forgotten.
    """
    target = [outcome for outcome in outcomes if outcome.probe.is_target]
    retain = [outcome for outcome in outcomes if not outcome.probe.is_target]
    same = [outcome for outcome in retain if outcome.probe.same_kind]
    other = [outcome for outcome in retain if not outcome.probe.same_kind]
    gone = [not outcome.by_encoder for outcome in target if outcome.by_base]
    names = [concept.name for concept in concepts]
    lost = sum(outcome.by_base - outcome.by_encoder for outcome in retain)
    return {
        **rate_measures("forget", gone),
        **rate_measures("base", [outcome.by_base for outcome in target]),
        **rate_measures("retain", [outcome.by_encoder for outcome in retain]),
        **rate_measures("base_retain", [outcome.by_base for outcome in retain]),
        "retain_drop": lost / len(retain) if retain else 0.0,
        **rate_measures("retain_same_kind", [outcome.by_encoder for outcome in same]),
        **rate_measures("base_retain_same_kind", [outcome.by_base for outcome in same]),
        **rate_measures("retain_other_kinds", [outcome.by_encoder for outcome in other]),
        **rate_measures("base_retain_other_kinds", [outcome.by_base for outcome in other]),
        "concepts": {
            c.name if names.count(c.name) == 1 else f"{c.name} ({c.kind})": _of_concept(target, c)
            for c in concepts
        },
    }


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Compute Wilson's 95 % interval for `successes` in `n` (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(successes * (n - successes) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def rate_measures(name: str, outcomes: Sequence[bool]) -> dict[str, Any]:
    """Return the share of true outcomes as `<name>_rate`, with its interval and n."""
    low, high = wilson(sum(outcomes), len(outcomes))
    return {
        f"{name}_rate": sum(outcomes) / len(outcomes) if outcomes else 0.0,
        f"{name}_interval": [round(low, 4), round(high, 4)],
        f"{name}_n": len(outcomes),
    }


def _of_concept(target: Sequence[Outcome], concept: Concept) -> dict[str, Any]:
    own = [outcome for outcome in target if outcome.probe.group == (concept.name, concept.kind)]
    forget = rate_measures("forget", [not outcome.by_encoder for outcome in own if outcome.by_base])
    base = rate_measures("base", [outcome.by_base for outcome in own])
    return {
        "forget_rate": forget["forget_rate"],
        "interval": forget["forget_interval"],
        "n": forget["forget_n"],
        "base_rate": base["base_rate"],
        "base_n": base["base_n"],
    }
