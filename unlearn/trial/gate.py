"""The gate: thresholds that an encoder must meet to be published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from unlearn.trial.sequential import exceeds
from unlearn.trial.stages import fewest, supported, too_many
from unlearn.trial.tiers import TIERS, Tier, is_looser

MOST_PROBES = 1000
"""The most probes of a group that a gate may ask for."""
_SPARE = 1.08
"""Probes for each pair that is needed: the base does not show the concept in all of them."""


@dataclass(frozen=True)
class Gate:
    """The thresholds for the measures of an encoder and its base. Rates are shares from 0 to 1.

    The defaults of the fields are those of the tier `quick`, with which every encoder was judged
    before there were tiers: a stored gate that lacks a field means what it meant.
    `Gate.of_tier("standard")` is what the server and the command line use.
    """

    min_forget_rate: float = 0.9
    """The least share, of the clips in which the base shows a concept, from which the concept must
    be gone. Each concept is held to it separately."""
    max_retain_drop: float = 0.1
    """The most by which the share of clips that show another concept may fall."""
    min_base_rate: float = 0.5
    """The least share of clips in which the base must show each concept; with fewer, nothing can be
    concluded about forgetting."""
    max_probes: int = 32
    """The most probes of each concept, and of the other concepts together if `max_retain_probes` is
    not set. If the sequential test is not clear by then, the rates decide."""
    by_interval: bool = False
    """True: the end of the 95 % interval has to reach `min_forget_rate` and `max_retain_drop`, so
    that the figures support them (`unlearn.trial.stages`). False: the sequential test has to be
    clear, or the counted rates have to reach them."""
    max_retain_probes: int | None = None
    """The most probes of the other concepts; None: `max_probes`."""
    neighbour_probes: int = 0
    """The probes of each of the nearest other concepts (`unlearn.trial.neighbours`)."""
    max_neighbour_drop: float = 1.0
    """The largest share of a near concept's clips that may be lost. The worst of them fails once
    more are lost than chance explains."""
    max_retain_distance: float | None = None
    """The largest mean distance of clips of other concepts to the base's own
    (`unlearn.trial.distance`); None: any."""
    max_redirected_rate: float = 1.0
    """The largest share of a concept's clips that may show another concept in its place."""
    max_collapse: float = 1.0
    """The largest share of clips that show nothing known, above the base's share."""
    tier: Tier = "custom"
    """The tier whose thresholds these are, or stricter ones; `custom` if any is looser."""

    @classmethod
    def of_tier(cls, tier: Tier, **given: Any) -> Self:
        """Return a tier's gate, with the thresholds that are given in place of the tier's own.

        A stricter rate without a `max_probes` of its own raises that to what it needs with one
        miss. The gate keeps the tier's name unless a threshold is looser.

        Args:
            tier: its name; `custom` is `quick` under the name of no tier.
            given: values of the fields; None where the tier's is to hold.
        """
        own = TIERS["quick" if tier == "custom" else tier]
        chosen = {name: value for name, value in given.items() if value is not None}
        values: dict[str, Any] = {**own, **chosen}
        gate = cls(**values)
        if gate.by_interval:
            for name, limit, rate in (
                ("max_probes", 1 - gate.min_forget_rate, "min_forget_rate"),
                ("max_retain_probes", gate.max_retain_drop, "max_retain_drop"),
            ):
                pairs = fewest(limit, 1)
                if rate in chosen and name not in chosen and pairs:
                    most = min(MOST_PROBES, round(pairs * _SPARE))
                    values[name] = max(own[name] or 0, most)
        values["tier"] = "custom" if is_looser(values, own) else tier
        return cls(**values)

    @property
    def most_retain_probes(self) -> int:
        """The most probes of the other concepts."""
        return self.max_probes if self.max_retain_probes is None else self.max_retain_probes

    def unreachable(self) -> tuple[str, str] | None:
        """Return the field that no encoder can pass by, and why; None if there is none."""
        if not self.by_interval:
            return None
        for field, most, limit, what in (
            ("max_probes", self.max_probes, 1 - self.min_forget_rate, "a forget rate"),
            (
                "max_retain_probes" if self.max_retain_probes is not None else "max_probes",
                self.most_retain_probes,
                self.max_retain_drop,
                "a drop of the others",
            ),
        ):
            least = fewest(limit)
            if limit < 1 and (least is None or least > most):
                share = f"of {1 - limit:.0%}" if what == "a forget rate" else f"of {limit:.0%}"
                return field, (
                    f"{field} is {most}, and {what} {share} needs {least} pairs without a miss "
                    "for its interval to support it: allow more, or ask for the tier 'quick', "
                    "which decides by the counted rates."
                )
        return None

    def failures(self, measures: Mapping[str, Any]) -> list[str]:
        """List in words why an encoder with these measures does not pass; empty if it does."""
        return _failures(self, measures)


def _failures(gate: Gate, measures: Mapping[str, Any]) -> list[str]:
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


def worst_neighbour(measures: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the neighbour of which the largest share is lost; None if none was probed."""
    found: Mapping[str, Mapping[str, Any]] = measures.get("neighbours", {})
    if not found:
        return None
    return max(found.items(), key=lambda item: (item[1]["lost_rate"], item[0]))
