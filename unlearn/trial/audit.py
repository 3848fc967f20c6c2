"""Audit: the counts of a published encoder's probes, and whether it still passes the gate.

An encoder fails once an interval that holds at every look (`unlearn.trial.anytime`) lies wholly
beyond the gate: a concept's forget rate below `min_forget_rate`, or the drop of the other concepts
above `max_retain_drop`. The tests share `ALPHA` (Bonferroni). Hence an encoder whose rates are
within the gate is *ever* failed with a probability of at most `ALPHA`, however long it is audited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from encoders import Concept
from unlearn.trial.anytime import difference_interval, mean_interval
from unlearn.trial.gate import Gate
from unlearn.trial.outcomes import Outcome
from unlearn.trial.probes import Probe
from unlearn.trial.sequential import SMALLEST_LIMIT

ALPHA = 0.05
"""The largest probability that an encoder within the gate is ever failed."""

AuditState = Literal["ok", "failed"]


@dataclass(frozen=True)
class GroupCounts:
    """The outcomes of a group of probes: a concept's, or those of the others together."""

    asked: int = 0
    by_base: int = 0
    """Clips of the base that show the concept."""
    by_encoder: int = 0
    """Clips of the encoder that show it."""
    lost: int = 0
    """Probes in which the base shows it and the encoder does not."""

    def added(self, outcome: Outcome) -> GroupCounts:
        """Return the counts with one outcome more."""
        return GroupCounts(
            self.asked + 1,
            self.by_base + outcome.by_base,
            self.by_encoder + outcome.by_encoder,
            self.lost + (outcome.by_base and not outcome.by_encoder),
        )


@dataclass(frozen=True)
class AuditCounts:
    """The outcomes of all probes of an encoder's audit: numbers, and nothing of the pictures."""

    concepts: dict[str, GroupCounts] = field(default_factory=dict[str, GroupCounts])
    """Counts of each concept, by `concept_key`."""
    others: GroupCounts = GroupCounts()

    @property
    def asked(self) -> int:
        """The number of probes so far, which is the number of the next one."""
        return self.others.asked + sum(group.asked for group in self.concepts.values())

    def added(self, outcome: Outcome) -> AuditCounts:
        """Return the counts with one outcome more."""
        if not outcome.probe.is_target:
            return replace(self, others=self.others.added(outcome))
        key = concept_key(outcome.probe)
        group = self.concepts.get(key, GroupCounts()).added(outcome)
        return replace(self, concepts={**self.concepts, key: group})

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> AuditCounts:
        """Return the counts that `to_json` returned."""
        concepts = {key: GroupCounts(**group) for key, group in stored["concepts"].items()}
        return cls(concepts, GroupCounts(**stored["others"]))


def concept_key(of: Probe | Concept) -> str:
    """Return a concept's name and kind: two concepts can share a name."""
    return f"{of.concept if isinstance(of, Probe) else of.name} ({of.kind})"


def audit_measures(counts: AuditCounts, concepts: Sequence[Concept]) -> dict[str, Any]:
    """Return the rates of an audit as JSON values, each as {rate, interval, n}.

    `forgotten` is of the clips in which the base shows a concept, `concepts` has it for each
    concept, `kept` is the share of the others' probes in which the encoder shows the concept, and
    `lost` the base's share less the encoder's. With n = 0 a rate is null.
    """
    alpha = ALPHA / (len(concepts) + 1)
    groups = {concept_key(c): counts.concepts.get(concept_key(c), GroupCounts()) for c in concepts}
    others = counts.others
    gained = others.by_encoder - (others.by_base - others.lost)
    return {
        "forgotten": _rate(
            sum(group.lost for group in groups.values()),
            sum(group.by_base for group in groups.values()),
            alpha,
        ),
        "kept": _rate(others.by_encoder, others.asked, alpha),
        "lost": {
            "rate": (others.lost - gained) / others.asked if others.asked else None,
            "interval": difference_interval(others.lost, gained, others.asked, alpha=alpha),
            "n": others.asked,
        },
        "concepts": {
            key: {**_rate(group.lost, group.by_base, alpha), "asked": group.asked}
            for key, group in groups.items()
        },
    }


def audit_failures(measures: dict[str, Any], gate: Gate) -> list[str]:
    """List in words why an encoder with these measures of an audit fails; empty if it does not."""
    found: list[str] = []
    needed = min(gate.min_forget_rate, 1 - SMALLEST_LIMIT)
    for name, own in measures["concepts"].items():
        if own["interval"][1] < needed:
            found.append(
                f"{name} is gone from {own['rate']:.0%} of the {own['n']} clips in which the base "
                f"shows it, and so surely from less than {gate.min_forget_rate:.0%}."
            )
    lost = measures["lost"]
    if lost["interval"][0] > max(gate.max_retain_drop, SMALLEST_LIMIT):
        found.append(
            f"Other concepts are lost from {lost['rate']:.0%} of the {lost['n']} clips judged, and "
            f"so surely from more than {gate.max_retain_drop:.0%}."
        )
    return found


def _rate(k: int, n: int, alpha: float) -> dict[str, Any]:
    return {
        "rate": k / n if n else None,
        "interval": mean_interval(k, n, alpha=alpha),
        "n": n,
    }
