"""The sections of the report that are tables: what was counted, how it was made, which files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from unlearn.methods.registry import get_method, method_names
from unlearn.report.charts import interval_bar, loss_curve
from unlearn.report.markup import Markup, join, tag
from unlearn.report.rates import Rate, percent, rates, words
from unlearn.trial.sequential import ALPHA, ODDS

if TYPE_CHECKING:
    from unlearn.report.build import Report

MAX_VALUE_CHARS = 2000
"""Of one setting; what is longer stands in full in `report.json`."""

_DECISIONS = {
    "clear": "Pairs were judged in rounds until a sequential test (Wald’s) could tell. The answer "
    "was clear: an encoder that misses one of these plainly, with "
    f"{ODDS:g} times the odds that are allowed, gets through with a probability of at most "
    f"{percent(ALPHA)}.",
    "at the limit": "Pairs were judged in rounds, as many as are allowed, and a sequential test "
    "(Wald’s) could not tell: there were too few of them, or the figures lie too close to what had "
    "to be reached. It was decided by the rates as they are.",
}
_THRESHOLDS = {
    "min_base_rate": ("Shown by the base encoder", "at least"),
    "min_forget_rate": ("Forgotten by this encoder", "at least"),
    "max_retain_drop": ("Fall in others kept", "at most"),
}


def measured(report: Report) -> Markup:
    """Every rate with its interval, pooled and by concept; the gate, and what it decided."""
    measures = report.card.measures
    by_concept, gate = measures.get("concepts"), measures.get("gate")
    return tag(
        "section",
        tag("h2", "What was counted"),
        tag(
            "p",
            "A concept counts as forgotten if no frame of a picture shows it, and as kept if most "
            "frames show it: each rule is the stricter one. A still has one frame.",
        ),
        _rates(rates(measures)),
        _by_concept(by_concept) if isinstance(by_concept, dict) and by_concept else "",
        _gate(gate, measures) if isinstance(gate, dict) else "",
    )


def made(report: Report) -> Markup:
    """Who made it, when, from what and with which settings; the loss curve."""
    card, sampling, sizes = report.card, report.sampling, report.sizes
    method = card.method
    if method in method_names():  # an imported encoder may be of any method
        method = f"{method}. {get_method(method).description}"
    identity: dict[str, JsonValue] = {
        "Encoder": card.id,
        "Goes on from": card.parent or "the base",
        "Made": f"{card.created_at:%Y-%m-%d %H:%M} {card.created_at.tzname() or ''}".strip(),
        "Model": report.model,
        "Method": method,
        "Seed": card.seed,
        "Size": f"{sizes.encoder_bytes:,} bytes: {percent(sizes.ratio)} of its base's "
        f"{sizes.base_bytes:,} in the same precision",
        "Base encoder": card.base,
        "Digest": card.digest,
        "As stored": card.stored,
        "Pictures": f"{sampling.width} × {sampling.height} pixels, {sampling.steps} denoising "
        f"steps, guidance {sampling.guidance:g}; clips at {sampling.fps} frames a second",
        "Judge": report.judge,
    }
    return tag(
        "section",
        tag("h2", "How it was made"),
        _facts(identity),
        tag("h3", "Settings"),
        _facts(card.settings),
        *_curve(report),
        tag("h3", "Software"),
        _facts(dict(report.software)),
    )


def files(report: Report) -> Markup:
    """The files beside the page, with what they can be told by."""
    if not report.files:
        return join(())
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", tag("code", digest)))
        for name, digest in report.files.items()
    ]
    return tag(
        "footer",
        tag("h3", "Files"),
        tag(
            "p",
            "The clips and stills above as they were judged, in the folder “report” beside this "
            "page. A clip says in its metadata which encoder, prompt and seed made it. "
            "report.json holds everything on this page for programs.",
            class_="note",
        ),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *(tag("th", n, scope="col") for n in ("File", "SHA-256")))),
                tag("tbody", *rows),
            ),
            class_="scroll",
        ),
    )


def _rates(found: list[Rate]) -> Markup:
    rows = [
        tag(
            "tr",
            tag(
                "th",
                rate.label.title,
                tag("span", rate.label.counts, class_="counts"),
                scope="row",
            ),
            tag("td", percent(rate.rate) if rate.n else "–", class_="number"),
            tag(
                "td",
                *([rate.extent, interval_bar(rate)] if rate.n else ["–"]),
                class_="number",
            ),
            tag("td", str(rate.n or "none judged"), class_="number"),
        )
        for rate in found
    ]
    names = ("Measure", "Share", "95\u202f% interval", "Pictures")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    return tag("div", table, class_="scroll")


def _by_concept(concepts: Mapping[str, JsonValue]) -> Markup:
    """A row a concept, a column a rate that any of them has."""
    read = {name: rates(own) for name, own in concepts.items() if isinstance(own, dict)}
    columns = {rate.name: rate.label.title for own in read.values() for rate in own}
    head = ["Concept", *columns.values()]
    rows: list[Markup] = []
    for name, own in read.items():
        cells = {rate.name: f"{rate.said()}, n = {rate.n}" if rate.n else "–" for rate in own}
        rows.append(
            tag(
                "tr",
                tag("th", name, scope="row", class_="said"),
                *(tag("td", cells.get(column, "–"), class_="number") for column in columns),
            )
        )
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", title, scope="col") for title in head))),
        tag("tbody", *rows),
    )
    return join([tag("h3", "Each concept by itself"), tag("div", table, class_="scroll")])


def _curve(report: Report) -> list[Markup]:
    if not report.losses:
        return []
    text = (
        "What the optimisation brings down. Its value means nothing by itself; the measures above "
        "were taken on pictures."
    )
    return [
        tag("h3", "Loss"),
        tag(
            "figure",
            loss_curve(report.losses),
            tag("figcaption", text, class_="note"),
            style="margin:0",
        ),
    ]


def _facts(values: Mapping[str, JsonValue]) -> Markup:
    rows = [
        tag("tr", tag("th", words(name), scope="row"), tag("td", _said(value)))
        for name, value in values.items()
    ]
    return tag("table", tag("tbody", *rows), class_="facts")


def _said(value: JsonValue) -> str:
    """A JSON value for people: an object as a table, a list on one line."""
    if isinstance(value, dict):
        return _facts(value)
    if isinstance(value, list):
        if any(isinstance(item, dict) for item in value):
            return join(_said(item) for item in value)
        return _bounded(", ".join(_scalar(item) for item in value) or "–")
    return _bounded(_scalar(value))


def _bounded(text: str) -> Markup:
    if len(text) > MAX_VALUE_CHARS:
        text = text[:MAX_VALUE_CHARS] + " … (in full in report.json)"
    is_hash = text.startswith("sha256:")
    return tag("code", text) if is_hash else tag("span", text, class_="said")


def _scalar(value: JsonValue) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _gate(gate: Mapping[str, JsonValue], measures: Mapping[str, JsonValue]) -> Markup:
    """What had to be reached, and how it was decided."""
    decision, drop = measures.get("decision"), measures.get("retain_drop")
    facts = dict(_threshold(name, value) for name, value in gate.items())
    if isinstance(drop, int | float):
        title, _ = _THRESHOLDS["max_retain_drop"]
        facts[title] = f"{facts.get(title, '–')}; it is {percent(drop)}"
    return join(
        [
            tag("h3", "What had to be reached"),
            tag(
                "p",
                "Of each concept by itself, and of the others together. An encoder that falls "
                "short is not published.",
            ),
            _facts(facts),
            tag("p", _DECISIONS.get(str(decision), f"Decision: {decision}.")) if decision else "",
        ]
    )


def _threshold(name: str, value: JsonValue) -> tuple[str, JsonValue]:
    """One of the gate's, in words if it is one that is known here."""
    if name in _THRESHOLDS and isinstance(value, int | float):
        title, bound = _THRESHOLDS[name]
        return title, f"{bound} {percent(value)}"
    return ("Pairs asked of each, at most", value) if name == "max_probes" else (name, value)
