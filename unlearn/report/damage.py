"""Damage that the rates do not show: near concepts, distances, and where a concept goes."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from unlearn.report.rates import percent
from unlearn.trial.failures import worst_neighbour


def damage_facts(measures: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what else was measured, in words; nothing where an older report lacks it."""
    found: dict[str, JsonValue] = {}
    if text := redirected_text(measures):
        found["Where it goes"] = text
    worst = worst_neighbour(measures)
    if worst is not None:
        name, own = worst
        low, high = own["interval"]
        near: object = measures["neighbours"]
        count = len(near) if isinstance(near, dict) else 0
        found["The worst near concept"] = (
            f"{name}: lost in {round(own['lost_rate'] * own['n'])} of {own['n']} pictures, "
            f"{percent(low)} to {percent(high)} (the intervals of all {count} hold together)"
        )
    distance, largest = measures.get("retain_distance"), measures.get("retain_distance_worst")
    if isinstance(distance, float) and isinstance(largest, float):
        found["Others’ pictures, against the base’s own"] = (
            f"{distance:.2f} away on the average and {largest:.2f} at most, where 0 is the same "
            "picture and 1 as different as another seed’s"
        )
    drop, interval = measures.get("retain_drop"), measures.get("retain_drop_interval")
    if isinstance(drop, int | float) and isinstance(interval, list) and measures.get("retain_n"):
        ends = [percent(end) for end in interval if isinstance(end, int | float)]
        found["Fall in others kept, in pairs"] = f"{percent(drop)} ({' to '.join(ends)})"
    return found


def redirected_text(measures: Mapping[str, JsonValue]) -> str | None:
    """Say which concepts are drawn in place of the forgotten ones; None if it was not looked at."""
    went, n = measures.get("redirected_to"), measures.get("base_n")
    if not isinstance(went, dict):
        return None
    if not went:
        return f"to nothing that the judge has a name for, in all of {n} pictures"
    named = ", ".join(f"{label} in {count}" for label, count in went.items())
    return f"another concept is drawn in its place in some of {n} pictures: {named}"
