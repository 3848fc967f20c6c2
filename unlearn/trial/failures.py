"""Failures: why an encoder does not pass a gate, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from unlearn.trial.sequential import exceeds
from unlearn.trial.stages import fewest, supported, too_many

if TYPE_CHECKING:
    from unlearn.trial.gate import Gate


def failures(gate: Gate, measures: Mapping[str, Any]) -> list[str]:
    """List why an encoder with these measures does not pass; empty if it does.

    A trial ends with the first clear failure. What was not clear by then is left out: it says
    nothing about the encoder.
    """
    found: list[str] = []
    for name, of in measures["concepts"].items():
        found += _of_concept(gate, name, of)
    if measures["retain_drop"] > gate.max_retain_drop:
        found.append(
            f"Other concepts are lost from {measures['retain_drop']:.0%} of the "
            f"{measures['retain_n']} clips judged (at most {gate.max_retain_drop:.0%} "
            "allowed): fewer steps, or a higher retain_weight."
        )
    found += _of_neighbours(gate, measures)
    found += _of_pictures(gate, measures)
    return found or (list(_unsupported(gate, measures)) if gate.by_interval else [])


def worst_neighbour(measures: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the neighbour of which the largest share is lost; None if none was probed."""
    found: Mapping[str, Mapping[str, Any]] = measures.get("neighbours", {})
    if not found:
        return None
    return max(found.items(), key=lambda item: (item[1]["lost_rate"], item[0]))


def _of_concept(gate: Gate, name: str, of: Mapping[str, Any]) -> Iterator[str]:
    if of["base_rate"] < gate.min_base_rate:
        yield (
            f"The base shows {name!r} in only {of['base_rate']:.0%} of the {of['base_n']} "
            f"clips judged; at least {gate.min_base_rate:.0%} are needed to tell whether "
            "it is gone."
        )
    if of["forget_rate"] < gate.min_forget_rate:
        yield (
            f"{name!r} is gone from only {of['forget_rate']:.0%} of the {of['n']} clips "
            f"in which the base shows it ({gate.min_forget_rate:.0%} needed): more steps, "
            "or a higher learning rate."
        )
    redirected = of.get("redirected_to", {})
    count = sum(redirected.values())
    if exceeds(count, of["base_n"], gate.max_redirected_rate):
        where = ", ".join(f"{label} in {n}" for label, n in redirected.items())
        yield (
            f"In {count} of the {of['base_n']} clips asked for {name!r} another concept is drawn "
            f"in its place ({where}; at most {gate.max_redirected_rate:.0%} allowed): more steps, "
            "or name what it leads to among the concepts to forget."
        )


def _unsupported(gate: Gate, measures: Mapping[str, Any]) -> Iterator[str]:
    """Say which rates are reached by the count, and not by the interval."""
    limit = 1 - gate.min_forget_rate
    for name, of in measures["concepts"].items():
        misses, n = round((1 - of["forget_rate"]) * of["n"]), of["n"]
        if not supported(misses, n, limit):
            yield (
                f"{name!r} is gone from {n - misses} of {n} clips in which the base shows it. That "
                f"supports a rate of {of['interval'][0]:.1%} at least, and "
                f"{gate.min_forget_rate:.0%} are needed: with {_pairs(limit, misses)}. More steps, "
                "or a higher max_probes."
            )
    limit, n = gate.max_retain_drop, measures.get("lost_n", 0)
    lost = round(measures.get("lost_rate", 0.0) * n)
    if not supported(lost, n, limit):
        yield (
            f"Other concepts are lost in {lost} of {n} clips judged. That supports a share of "
            f"{measures.get('lost_interval', (0, 1))[1]:.1%} at most, and {limit:.0%} are allowed: "
            f"with {_pairs(limit, lost)}. Fewer steps, a higher retain_weight, or a higher "
            "max_retain_probes."
        )


def _pairs(limit: float, misses: int) -> str:
    needed = fewest(limit, misses)
    seen = "no miss" if misses == 0 else "one miss" if misses == 1 else f"{misses} misses"
    return f"{seen}, in {needed} pairs" if needed else f"{seen}, in too many pairs"


def _of_neighbours(gate: Gate, measures: Mapping[str, Any]) -> Iterator[str]:
    worst = worst_neighbour(measures)
    if worst is None or gate.max_neighbour_drop >= 1:
        return
    name, of = worst
    lost = round(of["lost_rate"] * of["n"])
    if lost >= too_many(of["n"], gate.max_neighbour_drop, looks=len(measures["neighbours"])):
        yield (
            f"The near concept {name} is lost from {lost} of {of['n']} clips "
            f"({gate.max_neighbour_drop:.0%} allowed, and what chance adds to the worst of "
            f"{len(measures['neighbours'])}): a higher retain_weight, or more steps."
        )


def _of_pictures(gate: Gate, measures: Mapping[str, Any]) -> Iterator[str]:
    distance = measures.get("retain_distance")
    if (
        gate.max_retain_distance is not None
        and distance is not None
        and distance > gate.max_retain_distance
    ):
        yield (
            f"Pictures of other concepts are {distance:.2f} from the base's own, where 1 is "
            f"another seed's picture (at most {gate.max_retain_distance:.2f} allowed): a higher "
            "retain_weight."
        )
    collapse = measures.get("collapse", 0.0)
    if collapse > gate.max_collapse:
        yield (
            f"{collapse:.0%} more of the pictures than of the base's show nothing that is known "
            f"(at most {gate.max_collapse:.0%} allowed): fewer steps, or a lower learning rate."
        )
