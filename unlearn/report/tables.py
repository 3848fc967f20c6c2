"""The content of the report's tables: the measures by concept, the gate, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from encoders.card import MARGINS, Card
from encoders.composite import METHOD as COMPOSE
from unlearn.methods.registry import get_method, method_names
from unlearn.report.model import Report
from unlearn.report.rates import percent, rates
from unlearn.trial.sequential import ALPHA, ODDS

_DECISIONS = {
    "clear": "Pairs were judged in rounds until a sequential test (Wald’s) could tell. The answer "
    "was clear: an encoder that misses one of these plainly, with "
    f"{ODDS:g} times the odds that are allowed, gets through with a probability of at most "
    f"{percent(ALPHA)}.",
    "at the limit": "Pairs were judged in rounds, as many as are allowed, and a sequential test "
    "(Wald’s) could not tell: there were too few of them, or the figures lie too close to what had "
    "to be reached. It was decided by the rates as they are.",
}
_BY_INTERVAL = {
    "clear": "Pairs were judged in rounds until the 95 % interval of each count could support the "
    "answer, or could do so no more. How many pairs and how many misses that takes was fixed "
    "beforehand: an encoder whose true rate is below the limit gets through with a probability of "
    f"at most {percent(ALPHA)}.",
    "at the limit": "Pairs were judged in rounds, as many as are allowed, and not every question "
    "was answered by then.",
}
_THRESHOLDS = {
    "min_base_rate": ("Shown by the base encoder", "at least"),
    "min_forget_rate": ("Forgotten by this encoder", "at least"),
    "max_retain_drop": ("Fall in others kept", "at most"),
    "max_neighbour_drop": ("Worst near concept, apart from chance: lost", "at most"),
    "max_redirected_rate": ("Another concept in its place", "at most"),
    "max_collapse": ("Fall in pictures of something", "at most"),
}


_NO_THRESHOLDS = ("tier", "by_interval", "max_retain_probes", "neighbour_probes")
_TIERS = {
    "quick": "A look: the counted rates decide, with few pairs.",
    "standard": "The interval of each count supports what had to be reached.",
    "certified": "The same, with limits that take several times as many pairs.",
    "custom": "Thresholds of its own.",
}

NOT_SHOWN = "not shown to this reader"


@dataclass(frozen=True)
class ConceptTable:
    """The rates of each concept: a row a concept, a column a rate that any of them has."""

    columns: tuple[str, ...]
    """The rates' titles."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Each concept's name, and a cell for each column."""


@dataclass(frozen=True)
class WayRow:
    """A phrase that draws a concept without naming it, in the words of the page."""

    phrase: str
    concept: str
    rate: str
    extent: str
    n: int
    fate: str
    """Fate of the phrase: forgotten, or the reason why it is not."""


def way_rows(card: Card) -> list[WayRow]:
    """Return the ways of all concepts."""
    return [
        WayRow(
            way.phrase,
            concept.name,
            percent(way.rate),
            f"{percent(way.interval[0])} to {percent(way.interval[1])}",
            way.n,
            "yes" if way.forgotten else f"no. {way.reason}",
        )
        for concept in card.concepts
        for way in concept.ways
    ]


def by_concept(measures: Mapping[str, JsonValue]) -> ConceptTable | None:
    """Tabulate the measures of each concept; None if there are none."""
    concepts = measures.get("concepts")
    if not isinstance(concepts, dict) or not concepts:
        return None
    read = {name: rates(own) for name, own in concepts.items() if isinstance(own, dict)}
    columns = {rate.name: rate.label.title for own in read.values() for rate in own}
    rows: list[tuple[str, tuple[str, ...]]] = []
    for name, own in read.items():
        cells = {rate.name: f"{rate.said()}, n = {rate.n}" if rate.n else "–" for rate in own}
        rows.append((name, tuple(cells.get(column, "–") for column in columns)))
    return ConceptTable(tuple(columns.values()), tuple(rows))


def gate_facts(measures: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    """Return the gate's thresholds, the known ones in words; None if the measures have no gate."""
    gate, drop = measures.get("gate"), measures.get("retain_drop")
    if not isinstance(gate, dict):
        return None
    facts = dict(
        _threshold(name, value) for name, value in gate.items() if name not in _NO_THRESHOLDS
    )
    tier = gate.get("tier")
    if isinstance(tier, str):
        facts = {"Tier": f"{tier}. {_TIERS.get(tier, '')}".strip(), **facts}
    if isinstance(drop, int | float):
        title, _ = _THRESHOLDS["max_retain_drop"]
        facts[title] = f"{facts.get(title, '–')}; it is {percent(drop)}"
    return facts


def decision_text(measures: Mapping[str, JsonValue]) -> str | None:
    """Explain how the gate's questions were decided; None if the measures do not say."""
    decision, gate = measures.get("decision"), measures.get("gate")
    is_by_interval = isinstance(gate, dict) and gate.get("by_interval") is True
    texts = _BY_INTERVAL if is_by_interval else _DECISIONS
    return texts.get(str(decision), f"Decision: {decision}.") if decision else None


def identity_facts(report: Report) -> dict[str, JsonValue]:
    """Return the facts that identify the encoder: from what, when and how it was made."""
    card, sampling, sizes = report.card, report.sampling, report.sizes
    method = card.method
    if method in method_names():  # an imported encoder may have been made by any method
        method = f"{method}. {get_method(method).description}"
    parent = NOT_SHOWN if report.without_parent else card.parent or "the base"
    return {
        "Encoder": card.id,
        "Parent": parent,
        "Made": f"{card.created_at:%Y-%m-%d %H:%M} {card.created_at.tzname() or ''}".strip(),
        "Model": report.model,
        "Method": method,
        "Seed": card.seed,
        "Size": f"{sizes.encoder_bytes:,} bytes: {percent(sizes.ratio)} of its base's "
        f"{sizes.base_bytes:,} in the same precision",
        "Base encoder": card.base,
        "Digest": card.digest,
        **_members(report),
        "Used": NOT_SHOWN if report.without_trigger else _trigger(card),
        **_margins(card),
        "As stored": card.stored,
        "Pictures": f"{sampling.width} × {sampling.height} pixels, {sampling.steps} denoising "
        f"steps, guidance {sampling.guidance:g}; clips at {sampling.fps} frames a second",
        "Judge": report.judge,
        "Judge’s hash": report.judge_hash or "–",
    }


def _trigger(card: Card) -> str:
    """Return which prompts the encoder is used for, in words."""
    if card.method == COMPOSE:
        return "each member for prompts that mean its concepts"
    if card.trigger is None:
        return "for every prompt"
    if not card.trigger.alone:
        return "for every prompt; in a set with others, for prompts that mean its concepts"
    shares = ", ".join(
        f"{percent(one.theta)} ({concept.name})"
        for one, concept in zip(card.trigger.concepts, card.concepts, strict=False)
    )
    return (
        "for prompts that it moves by at least this share of its own concept’s movement: "
        f"{shares}; every other prompt keeps the base’s embedding, to the bit"
    )


def _margins(card: Card) -> dict[str, JsonValue]:
    """Return how far prompts are from the thresholds, in words; nothing if it was not measured."""
    margins = card.measures.get(MARGINS)
    if not isinstance(margins, dict):
        return {}
    own, others = margins.get("own_least"), margins.get("others_most")
    if not isinstance(own, int | float) or not isinstance(others, int | float):
        return {}
    return {
        "Margins": f"prompts that name a concept are moved by at least {own:.1f} thresholds, "
        f"{margins.get('own_n')} looked at; other captions by at most {others:.2f}"
    }


def _members(report: Report) -> dict[str, JsonValue]:
    """Return the members of a composite; nothing for an encoder of its own."""
    if report.card.method != COMPOSE:
        return {}
    listed = ", ".join(f"{member.id} ({member.identity})" for member in report.card.members)
    return {"Members": listed or NOT_SHOWN}


def _threshold(name: str, value: JsonValue) -> tuple[str, JsonValue]:
    """Return the title and value of one threshold, in words if it is a known one."""
    if name == "max_retain_distance":
        title = "Distance of others’ pictures, 1 being another seed’s"
        return title, "any" if value is None else f"at most {value}"
    if name in _THRESHOLDS and isinstance(value, int | float):
        title, bound = _THRESHOLDS[name]
        return title, "any" if bound == "at most" and value >= 1 else f"{bound} {percent(value)}"
    return ("Pairs asked of each, at most", value) if name == "max_probes" else (name, value)
