"""The report as one HTML file: nothing in it comes from elsewhere, nothing in it runs.

Pictures are data: URIs, drawings inline SVG, and all text is escaped by
:mod:`unlearn.report.markup`. The
clips themselves lie beside the page, in the folder `report/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from unlearn.report import tables
from unlearn.report.markup import Markup, join, tag
from unlearn.report.rates import percent, rate_of
from unlearn.report.style import STYLE

if TYPE_CHECKING:
    from encoders import Card, Concept
    from unlearn.report.build import Pair, Report
    from unlearn.report.pictures import Inline

CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; media-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The page's Content-Security-Policy, for its head and for the header it is served with."""


def page(report: Report, inline: Mapping[str, Sequence[Inline]]) -> str:
    """The HTML document.

    Args:
        report: what it says.
        inline: report file → its picture, and for a clip its strip of frames after it; of every
            file that the report's pairs name.
    """
    card = report.card
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=CSP),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{card.id}: report of an unlearned text encoder"),
        tag("style", Markup(STYLE)),
    )
    body = tag(
        "body",
        _top(report),
        tag(
            "main",
            _concepts(card),
            _pairs(report, inline, is_target=True),
            _pairs(report, inline, is_target=False),
            tables.measured(report),
            _cannot(report),
            tables.made(report),
            tables.files(report),
        ),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _top(report: Report) -> Markup:
    """The title, one sentence, and the three figures that one looks for first."""
    card, measures = report.card, report.card.measures
    forget, retain = rate_of(measures, "forget"), rate_of(measures, "retain")
    base_retain = rate_of(measures, "base_retain")
    figures: list[Markup] = []
    if forget:
        note = f"of {forget.n} pictures; 95 % interval {forget.extent}"
        figures.append(_figure("Forgotten", percent(forget.rate), note))
    if retain:
        note = f"of {retain.n} pictures; 95 % interval {retain.extent}"
        if base_retain:
            note += f"; the base: {percent(base_retain.rate)}"
        figures.append(_figure("Other concepts kept", percent(retain.rate), note))
    sizes = report.sizes
    note = f"{sizes.encoder_bytes:,} bytes; the base: {sizes.base_bytes:,}"
    figures.append(_figure("Size, against its base", percent(sizes.ratio), note))
    parent = (
        f" It goes on from the encoder {card.parent}, and what that one forgot is among them."
        if card.parent
        else ""
    )
    return tag(
        "header",
        tag("div", "Palimpsest · report of an unlearned text encoder", class_="kicker"),
        tag("h1", card.id, class_="said"),
        tag(
            "p",
            "A text encoder that was made to forget ",
            *_listed(card.concepts),
            f".{parent} It was judged against the unmodified encoder of the model “{report.model}” "
            f"and made on {card.created_at:%Y-%m-%d}.",
            class_="lead",
        ),
        tag(
            "p",
            "The text encoder is the part of a text-to-video model that reads the prompt; the "
            "denoiser draws from what it says. This page shows what the model draws with the base "
            "encoder and with this one, what was counted, how the encoder was made, and what it "
            "cannot do: above all, nothing was deleted from the model that draws.",
        ),
        tag("dl", *figures, class_="figures"),
    )


def _figure(name: str, value: str, note: str) -> Markup:
    said = tag("dd", tag("div", value, class_="big"), tag("p", note, class_="note"))
    return tag("div", tag("dt", name), said)


def _listed(concepts: Sequence[Concept]) -> list[str]:
    """The character “pogo”, the style “neonix” and the object “teapot”."""
    said: list[str] = []
    for number, concept in enumerate(concepts):
        said.append("" if number == 0 else " and " if number == len(concepts) - 1 else ", ")
        said += [f"the {concept.kind} ", tag("span", f"“{concept.name}”", class_="said")]
    return said


def _concepts(card: Card) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", concept.name, scope="row", class_="said"),
            tag("td", concept.kind),
            tag("td", ", ".join(concept.synonyms) or "–", class_="said"),
        )
        for concept in card.concepts
    ]
    head = [tag("th", name, scope="col") for name in ("Concept", "Kind", "Other names given")]
    return tag(
        "section",
        tag("h2", "What it forgets"),
        tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows)),
    )


def _pairs(report: Report, inline: Mapping[str, Sequence[Inline]], *, is_target: bool) -> Markup:
    of_group = [pair for pair in report.pairs if pair.is_target == is_target]
    shown = [pair for pair in of_group if pair.base_file and pair.encoder_file]
    shown.sort(key=lambda pair: pair.base_file or "")
    if not shown:
        return join(())
    failed = sum(pair.failed for pair in of_group)
    title, what, wrong = (
        (
            "Forgotten: before and after",
            "These prompts name a concept that is to be gone.",
            "this encoder still shows it",
        )
        if is_target
        else (
            "Kept: before and after",
            "These prompts name other concepts, which are to stay.",
            "the base shows it and this encoder does not",
        )
    )
    text = (
        f"{what} Both pictures of a pair have the same prompt, seed and model; only the encoder "
        f"differs. Pairs in which {wrong}: {failed} of {len(of_group)} judged. Shown are "
        f"{len(shown)}: first any such, then the others in the order in which they were judged."
    )
    return tag(
        "section",
        tag("h2", title),
        tag("p", text),
        tag("div", *(_pair(pair, inline) for pair in shown), class_="pairs"),
    )


def _pair(pair: Pair, inline: Mapping[str, Sequence[Inline]]) -> Markup:
    what = f"clip of {pair.frames} frames" if pair.frames > 1 else "still"
    note = f"{what.capitalize()}, seed {pair.seed}"
    if pair.failed:
        note += ". The concept is still there." if pair.is_target else ". The concept is lost."
    classes = ["pair", *["clip"] * (pair.frames > 1), *["failed"] * pair.failed]
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("span", f"“{pair.prompt}”", class_="prompt said"),
            tag("p", note, class_="note"),
        ),
        tag(
            "div",
            _half(pair, "base encoder", pair.base_file, pair.shown_base, "", inline),
            _half(pair, "this encoder", pair.encoder_file, pair.shown_encoder, _mark(pair), inline),
            class_="halves",
        ),
        class_=" ".join(classes),
    )


def _half(
    pair: Pair,
    by: str,
    file: str | None,
    shown: bool,
    mark: str,
    inline: Mapping[str, Sequence[Inline]],
) -> Markup:
    """One side of a pair. `mark` is the class of the judge's verdict."""
    assert file is not None
    verdict = f"Judge: {pair.concept} {'seen' if shown else 'not seen'}"
    of_prompt = f"by the {by} for the prompt “{pair.prompt}”, seed {pair.seed}"
    alts = [f"Still {of_prompt}"]
    if pair.frames > 1:
        alts = [f"Clip {of_prompt}", f"Frames of the clip {of_prompt}, from its first to its last"]
    pictures = [
        tag(
            "img",
            src=picture.uri,
            alt=alt,
            width=picture.width,
            height=picture.height,
            class_=name,
        )
        for picture, alt, name in zip(
            inline[file], alts, ["moving", "strip"] if pair.frames > 1 else ["still"], strict=True
        )
    ]
    return tag(
        "div",
        tag("p", by, class_="label"),
        *pictures,
        tag(
            "p",
            tag("span", verdict, class_=f"said {mark}".strip()),
            " · ",
            tag("a", file.rpartition(".")[2], href=f"report/{file}", aria_label=f"File {file}"),
            class_="verdict",
        ),
        class_="half",
    )


def _mark(pair: Pair) -> str:
    """Whether the judge's verdict on the encoder's picture is what it should be."""
    if pair.failed:
        return "bad"
    return "good" if pair.shown_encoder is not pair.is_target else ""


def _cannot(report: Report) -> Markup:
    items = [tag("li", tag("strong", c.title), c.text) for c in report.caveats]
    return tag(
        "section", tag("h2", "What it cannot do"), tag("ul", *items, class_="cannot", role="list")
    )
