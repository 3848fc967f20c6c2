"""Verdict of a report in one sentence, and what the gate's limits mean beside the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import JsonValue

from encoders.card import Card
from unlearn.report.model import Pair
from unlearn.report.rates import Rate, percent, rate_of
from unlearn.trial.gate import Gate
from unlearn.trial.sequential import ALPHA, BETA, SMALLEST_LIMIT, zone
from unlearn.trial.stages import fewest

Result = Literal["passed", "did not pass"]


def verdict_of(card: Card, pairs: Sequence[Pair]) -> str:
    """Say in one sentence what was found.

    Args:
        card: The encoder's card, with its measures.
        pairs: The judged pairs; they tell clips from stills.
    """
    forget, base = rate_of(card.measures, "forget"), rate_of(card.measures, "base")
    names = _listed([f"“{concept.name}”" for concept in card.concepts])
    things = _things(pairs)
    if forget is None:
        if base is None:
            return f"Whether this encoder forgets {names} has not been measured."
        return (
            f"The base encoder shows {names} in none of {base.n} judged {things}, so whether this "
            "encoder forgets it could not be measured."
        )
    text = (
        f"In {_count(forget)} of {forget.n} judged {things} in which the base encoder shows "
        f"{names}, this encoder shows it no more"
    )
    retain, base_retain = rate_of(card.measures, "retain"), rate_of(card.measures, "base_retain")
    if retain:
        text += f"; other concepts are seen in {_count(retain)} of {retain.n} pictures"
        if base_retain:
            text += f", and with the base encoder in {_count(base_retain)} of {base_retain.n}"
    went = card.measures.get("redirected_to")
    if isinstance(went, dict) and went:
        named = ", ".join(f"{label} ({count})" for label, count in went.items())
        text += f"; in its place it sometimes draws another concept: {named}"
    result = result_of(card.measures)
    tier = _tier(card.measures)
    if result and tier:
        return f"{text}; the encoder {result} the gate “{tier}”."
    return text + (f"; the encoder {result} what it had to reach." if result else ".")


def result_of(measures: Mapping[str, JsonValue]) -> Result | None:
    """Tell if the measures pass the gate that they hold; None if they hold none that is known."""
    limits = measures.get("gate")
    if not isinstance(limits, dict):
        return None
    try:
        failures = Gate(**limits).failures(measures)  # pyright: ignore[reportArgumentType]
    except (KeyError, TypeError):  # a gate or measures that another program wrote
        return None
    return "did not pass" if failures else "passed"


def certainty(measures: Mapping[str, JsonValue]) -> list[str]:
    """Explain in plain sentences how the limit on forgetting goes with the interval beside it.

    Returns:
        Paragraphs; none if the measures have no limit on forgetting that was tested.
    """
    gate, rate = measures.get("gate"), rate_of(measures, "forget")
    limit = gate.get("min_forget_rate") if isinstance(gate, dict) else None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= 1:
        return []
    if rate is None or rate.interval is None:
        return []
    low, high = (percent(end) for end in rate.interval)
    found = [
        f"The limit, at least {percent(limit)}, and the interval, {low} to {high}, answer two "
        f"questions. The interval is about the count alone: {_count(rate)} of {rate.n} pictures "
        f"agree with any true rate from {low} to {high}, because {rate.n} pictures are few. "
        f"{_compared(rate.interval, limit)}"
    ]
    decision = measures.get("decision")
    if isinstance(gate, dict) and gate.get("by_interval") is True:
        return [*found, _staged(measures, limit)]
    if decision == "clear":
        acceptable, unacceptable = (1 - rate for rate in zone(max(1 - limit, SMALLEST_LIMIT)))
        least = _fewest(limit)
        found.append(
            f"What was tested is another question: is this encoder plainly good or plainly bad? "
            f"Plainly good means that a concept is gone from {percent(acceptable)} of pictures or "
            f"more; plainly bad, from {percent(unacceptable)} or fewer. The limit of "
            f"{percent(limit)} lies between the two. Pictures were judged until their count told "
            f"which it is; {least} pictures of a concept are enough if the concept is in none."
        )
        found.append(
            f"How certain that is: of encoders that are plainly bad, at most "
            f"{percent(ALPHA)} pass. Of encoders that are plainly good in everything that is "
            f"tested, at most {percent(BETA)} are turned down. Of an encoder in between, "
            f"nothing is promised. So “passed” means “not plainly bad, with a certainty of at "
            f"least {percent(1 - ALPHA)}”. It does not mean that {percent(limit)} is proven."
        )
    elif decision == "at the limit":
        found.append(
            "The test could not tell in as many pictures as were allowed, so the share that was "
            f"counted, {percent(rate.rate)}, was held against the limit as it is. Nothing is "
            "promised beyond the interval."
        )
    return found


def _tier(measures: Mapping[str, JsonValue]) -> str | None:
    """Return the name of the gate's tier; None for thresholds of their own."""
    gate = measures.get("gate")
    tier = gate.get("tier") if isinstance(gate, dict) else None
    return tier if isinstance(tier, str) and tier != "custom" else None


def _staged(measures: Mapping[str, JsonValue], limit: float) -> str:
    least, more = fewest(1 - limit), fewest(1 - limit, 1)
    passed = result_of(measures) == "passed"
    text = (
        "Here the interval decides, for each concept by itself: it has to lie above "
        f"{percent(limit)}. That takes {least} pictures of a concept if it is in none of them, and "
        f"{more} if it is in one. These numbers were fixed beforehand, so that looking after each "
        f"round adds no chance: of encoders whose true rate is below {percent(limit)}, at most "
        f"{percent(ALPHA)} pass. "
    )
    if passed:
        return f"{text}So “passed” means: at least {percent(limit)}, with a certainty of 95 %."
    return f"{text}An encoder that does not pass may still reach it: the pictures do not show that."


def _compared(interval: tuple[float, float], limit: float) -> str:
    if interval[0] >= limit:
        return "All of it lies above the limit."
    if interval[1] < limit:
        return "All of it lies below the limit."
    return (
        "It reaches below the limit: from these pictures alone, a true rate below "
        f"{percent(limit)} cannot be excluded."
    )


def _fewest(limit: float) -> int:
    """Count the pictures without a miss after which the test passes."""
    from unlearn.trial.sequential import verdict

    n = 1
    while verdict(0, n, 1 - limit) is None:
        n += 1
    return n


def _count(rate: Rate) -> int:
    return round(rate.rate * rate.n)


def _things(pairs: Sequence[Pair]) -> str:
    clips = sum(pair.frames > 1 for pair in pairs)
    if not pairs or 0 < clips < len(pairs):
        return "clips and stills" if pairs else "pictures"
    return "clips" if clips else "stills"


def _listed(names: Sequence[str]) -> str:
    """Join names: "a", "a or b", "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
