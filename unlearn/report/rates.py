"""Rates: read from a card's measures, and written for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from pydantic import JsonValue


class Label(NamedTuple):
    """A rate's title, and a phrase for what it counts."""

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
    "lost": Label(
        "Others lost",
        "the base shows the other concept and this encoder does not; what it gains elsewhere does "
        "not count against that",
    ),
    "retain_same_kind": Label("Kept, of the same kind", "the nearest to what is forgotten (IRA)"),
    "base_retain_same_kind": Label("… by the base encoder", "the same prompts and seeds"),
    "retain_other_kinds": Label("Kept, of other kinds", "further away (CRA)"),
    "base_retain_other_kinds": Label("… by the base encoder", "the same prompts and seeds"),
    "valid": Label(
        "Pictures of something",
        "an object, a character, a person or a style is seen; where a concept was forgotten, what "
        "else the prompt asked for is still there",
    ),
    "wavering": Label(
        "Verdicts that waver",
        "they change with the number of words, 4, 16 or 64, that the judge weighs the concept "
        "against",
    ),
    "identity": Label(
        "Left to the base",
        "of captions that mean none of it, those whose embedding is the base’s, to the bit",
    ),
    "identity_in_sets": Label(
        "Left to the base, in a set",
        "the same, when it is used together with other encoders",
    ),
}
"""The rates of `unlearn.trial`'s measures, in the order in which they are printed."""


class Rate(NamedTuple):
    """A share of pictures."""

    name: str
    """The key in the measures without its `_rate`."""
    rate: float
    """0 to 1."""
    interval: tuple[float, float] | None
    """The 95 % interval, its ends from 0 to 1; None where the measures have none."""
    n: int
    """The number of pictures; at 0 the rate means nothing."""

    @property
    def label(self) -> Label:
        """The label from `LABELS`, or one made of the name."""
        return LABELS.get(self.name) or Label(words(self.name), "")

    def said(self) -> str:
        """Write the rate and its interval: "93.8 % (71.7 to 98.9)"; "none judged" if n is 0."""
        if not self.n:
            return "none judged"
        return percent(self.rate) + (f" ({self.extent})" if self.interval else "")

    @property
    def extent(self) -> str:
        """The interval in per cent: "71.7 to 98.9"; "–" where there is none."""
        return " to ".join(map(figure, self.interval)) if self.interval else "–"


def rates(measures: Mapping[str, JsonValue]) -> list[Rate]:
    """Read every rate in the measures: those of `LABELS` in their order, then the others.

    Beside `x_rate` the measures have `x_interval` and `x_n`. One concept's own measures have just
    `interval` and `n`.
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
    """Return the rate of that name; None if it is missing or its n is 0."""
    return next((rate for rate in rates(measures) if rate.name == name and rate.n), None)


def percent(share: float) -> str:
    """Write a share from 0 to 1 as per cent with at most one decimal: 0.9375 → "93.8 %"."""
    return f"{figure(share)}\u202f%"


def figure(share: float) -> str:
    """Write a share from 0 to 1 as `percent` does, without the sign: 0.9375 → "93.8"."""
    return f"{100 * share:.1f}".removesuffix(".0")


def words(name: str) -> str:
    """Write a key as words: "min_forget_rate" → "min forget rate"."""
    return name.replace("_", " ").strip()
