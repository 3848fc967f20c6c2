"""Tiers: gates by name, from a look to a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

TierName = Literal["quick", "standard", "certified"]
Tier = Literal["quick", "standard", "certified", "custom"]
DEFAULT_TIER: TierName = "standard"

TIERS: Mapping[TierName, Mapping[str, Any]] = {
    "quick": {
        "min_forget_rate": 0.9,
        "max_retain_drop": 0.1,
        "min_base_rate": 0.5,
        "max_probes": 32,
        "by_interval": False,
        "max_retain_probes": None,
        "neighbour_probes": 0,
        "max_neighbour_drop": 1.0,
        "max_retain_distance": None,
        "max_redirected_rate": 1.0,
        "max_collapse": 1.0,
    },
    "standard": {
        "min_forget_rate": 0.9,
        "max_retain_drop": 0.1,
        "min_base_rate": 0.5,
        "max_probes": 120,
        "by_interval": True,
        "max_retain_probes": 120,
        "neighbour_probes": 8,
        "max_neighbour_drop": 0.1,
        "max_retain_distance": 0.6,
        "max_redirected_rate": 0.1,
        "max_collapse": 0.1,
    },
    "certified": {
        "min_forget_rate": 0.97,
        "max_retain_drop": 0.05,
        "min_base_rate": 0.5,
        "max_probes": 260,
        "by_interval": True,
        "max_retain_probes": 240,
        "neighbour_probes": 16,
        "max_neighbour_drop": 0.1,
        "max_retain_distance": 0.5,
        "max_redirected_rate": 0.05,
        "max_collapse": 0.05,
    },
}
"""The fields of `unlearn.trial.gate.Gate` by tier; docs/METHODS.md has the arithmetic."""


def is_looser(thresholds: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Return true if an encoder may pass these thresholds and not those of a tier.

    The number of probes at most is none of them: more or fewer change how often a good encoder
    passes, and not what a pass says. Without intervals the rates decide at the last probe, so
    there fewer are looser.
    """
    for name, own in than.items():
        value = thresholds[name]
        if name in ("max_probes", "max_retain_probes"):
            if not than["by_interval"] and value is not None and value < (own or value):
                return True
        elif name == "max_retain_distance":
            if own is not None and (value is None or value > own):
                return True
        elif name.startswith("max_"):
            if value > own:
                return True
        elif value < own:
            return True
    return False
