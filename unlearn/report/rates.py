"""Reading the measures of a card: their rates, and how a rate is written for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from pydantic import JsonValue


class Label(NamedTuple):
    """What a rate is called, and what it counts."""

    title: str
    counts: str


LABELS: Mapping[str, Label] = {
    "forget": Label(
        "Forgotten by this encoder",
        "of the pictures in which the base shows the concept, those in which no frame by this "
        "encoder does (UA)",
    ),
    "base": Label(
        "Shown by the base encoder", "the prompt names the concept; at least one frame shows it"
    ),
    "retain": Label(
        "Others kept by this encoder",
        "the prompt names another concept; most frames show that concept",
    ),
    "base_retain": Label("… by the base encoder", "the same prompts and seeds"),
    "retain_same_kind": Label("Kept, of the same kind", "the nearest to what is forgotten (IRA)"),
    "base_retain_same_kind": Label("… by the base encoder", "the same prompts and seeds"),
    "retain_other_kinds": Label("Kept, of other kinds", "further away (CRA)"),
    "base_retain_other_kinds": Label("… by the base encoder", "the same prompts and seeds"),
}
"""The rates of `ProbePlan.measure`, in the order in which they are read."""


class Rate(NamedTuple):
    """A share of pictures."""

    name: str
    """The key in the measures without its `_rate`."""
    rate: float
    """0 to 1."""
    interval: tuple[float, float] | None
    """Of 95 %; None where the measures have none."""
    n: int
    """Of how many pictures; 0 where there were none, and the rate says nothing."""

    @property
    def label(self) -> Label:
        """Its title; made of its name if it is not one of `LABELS`."""
        return LABELS.get(self.name) or Label(words(self.name), "")

    def said(self) -> str:
        """The rate and its interval: "93.8 % (71.7 to 98.9)"; "none judged" of no pictures."""
        if not self.n:
            return "none judged"
        return percent(self.rate) + (f" ({self.extent})" if self.interval else "")

    @property
    def extent(self) -> str:
        """The interval: "71.7 to 98.9"; "–" where there is none."""
        return " to ".join(map(figure, self.interval)) if self.interval else "–"


def rates(measures: Mapping[str, JsonValue]) -> list[Rate]:
    """Every rate in the measures: those of `LABELS` in their order, then the rest as they come.

    Beside `x_rate` lie `x_interval` and `x_n`; of one concept's measures, which are about one rate,
    just `interval` and `n`.
    """
    found: dict[str, Rate] = {}
    for key, value in measures.items():
        name = key.removesuffix("_rate")
        if name == key or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        prefix = f"{name}_" if f"{name}_n" in measures else ""
        interval = measures.get(f"{prefix}interval")
        low_high = (
            cast(tuple[float, float], tuple(interval)) if isinstance(interval, list) else None
        )
        n = cast(int, measures.get(f"{prefix}n", 0))
        found[name] = Rate(name, float(value), low_high, n)
    order = [*(name for name in LABELS if name in found), *found]
    return [found[name] for name in dict.fromkeys(order)]


def rate_of(measures: Mapping[str, JsonValue], name: str) -> Rate | None:
    """The rate of that name, if it was measured on anything."""
    return next((rate for rate in rates(measures) if rate.name == name and rate.n), None)


def percent(share: float) -> str:
    """A share of 1 for people: "93.8 %", "100 %"."""
    return f"{figure(share)}\u202f%"


def figure(share: float) -> str:
    """The same without its sign, for both ends of an interval."""
    return f"{100 * share:.1f}".removesuffix(".0")


def words(name: str) -> str:
    """A key as it is read: "min_forget_rate" → "min forget rate"."""
    return name.replace("_", " ").strip()
