"""The gate: thresholds that an encoder must meet to be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from unlearn.trial.stages import fewest
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
        from unlearn.trial.failures import failures

        return failures(self, measures)
