"""Measures: the rates of an encoder's outcomes, each with its Wilson interval and its n."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from encoders import Concept
from unlearn.trial.distance import distance_measures
from unlearn.trial.intervals import paired_drop, wilson
from unlearn.trial.outcomes import Outcome

Measures = Mapping[str, Any]
"""JSON values by name, as `measures_of` returns them."""


def measures_of(outcomes: Sequence[Outcome], concepts: Sequence[Concept]) -> dict[str, Any]:
    """Compute the measures of some outcomes as JSON values.

    `base_rate` is the share of target probes in which any frame by the base shows the concept, and
    `forget_rate` (UA) the share of *those* in which no frame by the encoder does. Where the base
    does not show the concept either, there is nothing to forget, and to count it would flatter the
    encoder.

    `retain_rate` and `base_retain_rate` are the shares of the other concepts' probes in which most
    frames show the concept, by the encoder and by the base; `retain_drop` is the difference of the
    two, in pairs, with Newcombe's interval. `lost_rate` is the share of pairs in which the base
    shows it and the encoder does not: the drop is never more, and gains cannot hide a loss in it.
    `retain_same_kind_rate` (IRA) and `retain_other_kinds_rate` (CRA) split `retain_rate` by kind.

    Each rate `x_rate` has `x_interval`, Wilson's 95 % interval, and `x_n` beside it. With n = 0 a
    rate is 0 and its interval 0 to 1.

    `concepts` has, under the name of each concept (and its kind, if two share a name), its own
    `forget_rate`, `interval` and `n`, the base's `base_rate` and `base_n`, and `redirected_to`: the
    other concepts drawn in its place, with how often. `neighbours` has the `lost_rate` of each near
    concept, with an `interval` that holds for all of them together. `collapse` is by how much the
    share of valid clips is lower than the base's. `retain_distance`: `unlearn.trial.distance`.

    Args:
        outcomes: the outcomes to count.
        concepts: the concepts that are to be forgotten.
    """
    target = [outcome for outcome in outcomes if outcome.probe.is_target]
    others = [outcome for outcome in outcomes if not outcome.probe.is_target]
    retain = [outcome for outcome in others if not outcome.probe.neighbour]
    same = [outcome for outcome in retain if outcome.probe.same_kind]
    other = [outcome for outcome in retain if not outcome.probe.same_kind]
    gone = [not outcome.by_encoder for outcome in target if outcome.by_base]
    names = [concept.name for concept in concepts]
    drop, *interval = paired_drop([o.by_base for o in retain], [o.by_encoder for o in retain])
    went = Counter(outcome.redirected_to for outcome in target if outcome.redirected_to)
    return {
        **rate_measures("forget", gone),
        **rate_measures("base", [outcome.by_base for outcome in target]),
        **rate_measures("retain", [outcome.by_encoder for outcome in retain]),
        **rate_measures("base_retain", [outcome.by_base for outcome in retain]),
        "retain_drop": drop,
        "retain_drop_interval": [round(end, 4) for end in interval],
        **rate_measures("lost", [o.by_base and not o.by_encoder for o in retain]),
        **rate_measures("retain_same_kind", [outcome.by_encoder for outcome in same]),
        **rate_measures("base_retain_same_kind", [outcome.by_base for outcome in same]),
        **rate_measures("retain_other_kinds", [outcome.by_encoder for outcome in other]),
        **rate_measures("base_retain_other_kinds", [outcome.by_base for outcome in other]),
        "redirected_to": dict(went.most_common()),
        **_collapse(outcomes),
        **_wavering(outcomes),
        **distance_measures(others),
        "neighbours": _neighbours(others),
        "concepts": {
            c.name if names.count(c.name) == 1 else f"{c.name} ({c.kind})": _of_concept(target, c)
            for c in concepts
        },
    }


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
    went = Counter(outcome.redirected_to for outcome in own if outcome.redirected_to)
    return {
        "forget_rate": forget["forget_rate"],
        "interval": forget["forget_interval"],
        "n": forget["forget_n"],
        "base_rate": base["base_rate"],
        "base_n": base["base_n"],
        "redirected_to": dict(went.most_common()),
    }


def _collapse(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    before = sum(outcome.valid_base for outcome in outcomes)
    after = [outcome.valid_encoder for outcome in outcomes]
    return {
        **rate_measures("valid", after),
        "collapse": (before - sum(after)) / len(after) if after else 0.0,
    }


def _wavering(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the share of probes whose verdict depends on the number of the judge's labels."""
    found = [outcome.wavering for outcome in outcomes if outcome.wavering is not None]
    return rate_measures("wavering", found) if found else {}


def _neighbours(others: Sequence[Outcome]) -> dict[str, Any]:
    near = [outcome for outcome in others if outcome.probe.neighbour]
    labels = dict.fromkeys((o.probe.concept, o.probe.kind) for o in near)
    found: dict[str, Any] = {}
    for label, kind in labels:
        own = [o for o in near if (o.probe.concept, o.probe.kind) == (label, kind)]
        lost = sum(o.by_base and not o.by_encoder for o in own)
        low, high = wilson(lost, len(own), looks=len(labels))
        found[f"{label} ({kind})"] = {
            "lost_rate": lost / len(own),
            "interval": [round(low, 4), round(high, 4)],
            "n": len(own),
        }
    return found
