"""The report's page: it says what the card says, and holds nothing that runs or is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders import Concept
from tests.unlearn.report_help import MEASURES, Page, card_of, files_of
from unlearn.report.caveats import caveats
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.page import CSP, render_page
from unlearn.report.pictures import Inline
from unlearn.report.rates import percent, rates

# What it says


def test_the_page_says_every_figure_of_the_card(parsed: Page) -> None:
    assert len(rates(MEASURES)) == 5
    for rate in rates(MEASURES):
        assert rate.label.title in parsed.text
        if rate.n:
            assert percent(rate.rate) in parsed.text
            assert rate.extent in parsed.text
    assert parsed.text.count("none judged") == 1
    card = card_of()
    for said in (
        *(card.base, card.digest, card.stored, "no-neonix", "987654", "2026-02-03 04:05 UTC"),
        *("21,208", "3,967,872", "0.5\u202f%", "one-eyed robot", "ClassifierJudge 1", "starter"),
        *("at least 85\u202f%", "at most 15\u202f%", "at least 55\u202f%"),
        *("learning rate0.0123", "steps41", "retaina teapot", "anchor–", "64 × 48 pixels"),
        *("66.7\u202f% (30 to 90.3), n = 6", "85.7\u202f%, n = 7", "100\u202f% (70.1 to 100)"),
        *(
            "at most 15\u202f%; it is 4.2\u202f%",
            "at most44",
            "The answer was clear",
            "at most 5\u202f%",
        ),
    ):
        assert said in parsed.text, said


def test_the_caveats_have_the_figures_and_are_on_the_page(parsed: Page) -> None:
    said = caveats(MEASURES, "ClassifierJudge 1")
    assert len(said) > 5
    for caveat in said:
        assert caveat.title in parsed.text
        assert caveat.text in parsed.text
    everything = " ".join(caveat.text for caveat in said)
    assert "16 pictures" in everything
    assert "87.5\u202f% (64 to 96.5)" in everything  # what the judge recognised of the base's
    assert "from 71.7\u202f% to 98.9\u202f%" in everything
    assert "denoiser" in everything
    assert "%" not in " ".join(caveat.text for caveat in caveats({}, "x")).replace("95 %", "")


def test_a_report_without_much_to_say() -> None:
    bare = card_of(method="other", settings={}, parent=None, measures={})
    files = files_of(bare, [], losses=[])
    text = Page(files[REPORT_HTML].decode()).text
    assert set(files) == {REPORT_JSON, REPORT_HTML}
    assert "Loss" not in text
    assert "had to be reached" not in text
    assert "before and after" not in text


@pytest.mark.parametrize("decision", ["clear", "at the limit", "otherwise"])
def test_the_page_says_how_it_was_decided(decision: str) -> None:
    measures = {**MEASURES, "decision": decision, "gate": {"unheard_of": 3}}
    text = Page(files_of(card_of(measures=measures), [])[REPORT_HTML].decode()).text
    assert "unheard of3" in text
    assert ("was clear:" in text) == (decision == "clear")
    assert ("Judging stopped when" in text) == (decision == "clear")
    assert ("could not tell" in text) == (decision == "at the limit")
    assert ("Decision: otherwise" in text) == (decision == "otherwise")


# The page as a file


def test_nothing_of_the_page_is_elsewhere_and_nothing_runs(parsed: Page) -> None:
    assert len(parsed.elements) > 200
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on") or name == "srcset"]
        for name, value in attributes.items():
            assert "http://" not in value
            assert "https://" not in value
            if name == "src":
                assert value.startswith("data:image/webp;base64,")
            if name == "href":
                assert value == "data:,"  # a saved page has no link that could be dead
    assert "url(" not in parsed.style
    assert "@import" not in parsed.style
    policies = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert policies == [CSP]
    assert "default-src 'none'" in CSP
    assert "script-src" not in CSP


def test_tables_have_headers_and_there_is_one_title_of_each_rank(parsed: Page) -> None:
    assert len(parsed.all("h1")) == 1
    assert len(parsed.all("title")) == 2  # the page's, the curve's
    assert len(parsed.all("th")) > 20
    assert {th["scope"] for th in parsed.all("th")} == {"row", "col"}
    alternatives = [image["alt"] for image in parsed.all("img")]
    assert len(alternatives) > 10
    assert all(alternatives)
    assert [a["lang"] for a in parsed.all("html")] == ["en"]


MARKUP = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=y>',
        "'",
        "&lt;",
        "&amp",
        "</style>",
        "<!--",
    ]
)

NASTY = st.lists(MARKUP | st.text(st.characters(exclude_categories=["C", "Z"])), min_size=1).map(
    lambda pieces: "".join(pieces)[:100] or "x"
)

STILL = Inline(b"webp", 4, 4)


@settings(max_examples=60, deadline=None)
@given(nasty=st.lists(NASTY, min_size=9, max_size=9))
def test_no_text_of_anybodys_becomes_markup(
    files: Mapping[str, bytes], parsed: Page, nasty: list[str]
) -> None:
    name, synonym, prompt, concept, setting, value, model, judge, issuer = nasty
    report = Report.model_validate_json(files[REPORT_JSON])
    pairs = [p.model_copy(update={"prompt": prompt, "concept": concept}) for p in report.pairs]
    card = card_of(
        concepts=[Concept(name=name, kind="style", synonyms=(synonym,))],
        method=value[:64],
        settings={setting: [value, {setting: value}]},
        measures={
            **MEASURES,
            f"{setting}_rate": 0.5,
            "decision": value,
            "concepts": {name: {}},
            "gate": {setting: value},
        },
    )
    hostile = report.model_copy(
        update={
            "card": card,
            "pairs": pairs,
            "model": model,
            "judge": judge,
            "issuer": issuer,
        }
    )
    inline = {n: [STILL, STILL] if n.endswith("mp4") else [STILL] for n in report.files}
    html = render_page(hostile, inline)
    seen = Page(html)
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in parsed.elements} | {"code"}
    names = {name for _, attributes in parsed.elements for name in attributes}
    assert {name for _, attributes in seen.elements for name in attributes} <= names
    for text in (name, synonym, prompt, concept, value, model, judge, issuer):
        assert text in seen.text
    alternatives = [image["alt"] for image in seen.all("img")]
    assert len(alternatives) > 10
    assert all(prompt in alternative for alternative in alternatives)
    assert "<script" not in html
    assert html.count("</style>") == 1


def test_control_characters_of_a_name_do_no_harm() -> None:
    name = "a\x00b\u202e\ud7ff\r\n\x0b<"
    card = card_of(concepts=[Concept(name=name, kind="style")])
    html = files_of(card, [])[REPORT_HTML].decode()
    assert "&lt;" in html
    assert Page(html).all("h1")
