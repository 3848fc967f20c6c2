"""The report's verdict, what it says about limits and intervals, and its footer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import Concept
from tests.unlearn.report_help import MEASURES, OUTCOMES, Page, card_of, files_of, outcome
from unlearn.report.footer import css_string
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.verdict import certainty, result_of, verdict_of
from unlearn.trial.gate import Gate
from unlearn.trial.measures import measures_of
from unlearn.trial.outcomes import Outcome

POGO = (Concept(name="pogo", kind="character"),)


def report_of(outcomes: list[Outcome], gate: dict[str, Any] | None = None, **more: Any) -> Report:
    """Return the report of one concept with the measures of these outcomes."""
    measures = {**measures_of(outcomes, POGO), "gate": gate or vars(Gate()), **more}
    card = card_of(concepts=POGO, measures=measures)
    return Report.model_validate_json(files_of(card, outcomes)[REPORT_JSON])


def outcomes_of(shown: int, forgotten: int, kept: int, lost: int, frames: int | None) -> list[Any]:
    """Return outcomes: of the `shown` ones the encoder shows all but the `forgotten`."""
    return [
        *(
            outcome(i, is_target=True, frames=frames, by_encoder=i >= forgotten)
            for i in range(shown)
        ),
        *(
            outcome(100 + i, is_target=False, frames=frames, by_encoder=i >= lost)
            for i in range(kept + lost)
        ),
    ]


def said(report: Report) -> str:
    return verdict_of(report.card, report.pairs)


def test_the_verdict_is_one_sentence_with_the_counts() -> None:
    assert said(report_of(outcomes_of(48, 48, 16, 0, 8))) == (
        "In 48 of 48 judged clips in which the base encoder shows “pogo”, this encoder shows it no "
        "more; other concepts are seen in 16 of 16 pictures, and with the base encoder in 16 of "
        "16; the encoder passed what it had to reach."
    )
    bad = said(report_of(outcomes_of(12, 3, 8, 1, None)))
    assert bad.startswith("In 3 of 12 judged stills in which the base encoder shows “pogo”")
    assert "seen in 8 of 9 pictures, and with the base encoder in 9 of 9" in bad
    assert bad.endswith("the encoder did not pass what it had to reach.")
    mixed = [outcome(1, is_target=True, frames=2), outcome(2, is_target=True)]
    assert said(report_of(mixed)).startswith("In 2 of 2 judged clips and stills")


def test_the_verdict_of_what_was_not_measured() -> None:
    unseen = [outcome(i, is_target=True, by_base=False, by_encoder=False) for i in range(4)]
    assert said(report_of(unseen)) == (
        "The base encoder shows “pogo” in none of 4 judged stills, so whether this encoder forgets "
        "it could not be measured."
    )
    assert said(report_of([]).model_copy(update={"card": card_of(measures={})})) == (
        "Whether this encoder forgets “pogo” or “neonix” has not been measured."
    )
    unknown: list[dict[str, Any]] = [{}, {"gate": {"of_another": 3}}, {"gate": 7}]
    for measures in (*unknown, {"gate": vars(Gate())}):
        assert result_of(measures) is None


def test_the_verdict_stands_at_the_top_of_the_page(files: Mapping[str, bytes]) -> None:
    text = " ".join(Page(files[REPORT_HTML].decode()).text.split())
    report = Report.model_validate_json(files[REPORT_JSON])
    verdict = said(report)
    assert "“pogo” or “neonix”" in verdict
    assert text.split("report of an unlearned text encoder")[-1].startswith(f" no-pogo {verdict}")


def test_the_limit_is_explained_beside_the_interval() -> None:
    report = report_of(outcomes_of(14, 14, 16, 0, None), decision="clear")
    first, test, certain = certainty(report.card.measures)
    # The figures of docs/adr/0003-the-sequential-gate.md: 96.4 and 75 % around 90 %, 12 pictures.
    assert "at least 90\u202f%, and the interval, 78.5\u202f% to 100\u202f%" in first
    assert "14 of 14 pictures" in first
    assert "true rate below 90\u202f% cannot be excluded" in first
    assert "96.4\u202f% of pictures or more" in test
    assert "75\u202f% or fewer" in test
    assert "12 pictures of a concept are enough" in test
    assert "at most 5\u202f% pass" in certain
    assert "certainty of at least 95\u202f%" in certain
    page = Page(files_of(report.card, [])[REPORT_HTML].decode()).text
    for paragraph in (first, test, certain):
        assert paragraph in page


@pytest.mark.parametrize(
    ("interval", "limit", "says"),
    [
        ([0.95, 1.0], 0.9, "All of it lies above"),
        ([0.1, 0.5], 0.9, "All of it lies below"),
        ([0.5, 1.0], 1.0, "cannot be excluded"),
    ],
)
def test_what_the_interval_says_about_the_limit(
    interval: list[float], limit: float, says: str
) -> None:
    gate = {"min_forget_rate": limit}
    measures: dict[str, Any] = {
        **MEASURES,
        "forget_interval": interval,
        "gate": gate,
        "decision": "at the limit",
    }
    first, second = certainty(measures)
    assert says in first
    assert "93.8\u202f%, was held against the limit" in second


@pytest.mark.parametrize("gate", [None, {}, {"min_forget_rate": 0.0}, {"min_forget_rate": True}])
def test_without_a_limit_there_is_nothing_to_explain(gate: Any) -> None:
    assert certainty({**MEASURES, "gate": gate}) == []


def test_the_judge_is_named_with_its_hash_and_the_issuer_where_there_is_one() -> None:
    nobody = Page(files_of()[REPORT_HTML].decode()).text
    for text in ("ClassifierJudge 1", "sha256:" + "d" * 64, "Issued by: not stated. Not signed."):
        assert text in nobody
    page = Page(files_of(issuer="Acme & Sons <legal>, https://acme.example")[REPORT_HTML].decode())
    assert "Issued by Acme & Sons <legal>, https://acme.example. Not signed." in page.text
    assert "Report of 2026-02-03." in page.text


def test_every_printed_page_has_the_footer_and_its_number(parsed: Page) -> None:
    [rule] = re.findall(r"@page \{(.*)\}\s*\}", parsed.style, re.DOTALL)
    left, right = rule.split("@bottom-right")
    for text in ("no-pogo", "sha256:", "b" * 64):
        assert text in left
    assert "2026-02-03" in left
    assert "Not signed." in left
    assert '"Page " counter(page) " of " counter(pages)' in right


@given(st.text())
def test_any_text_becomes_one_css_string(text: str) -> None:
    written = css_string(text)
    assert re.fullmatch(r'"([A-Za-z0-9 ._:-]|\\[0-9a-f]{6} )*"', written)
    back = re.sub(r"\\([0-9a-f]{6}) ", lambda m: chr(int(m[1], 16)), written[1:-1])
    assert back == re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


def test_reports_of_before_have_a_page_still() -> None:
    stored = Report.model_validate_json(files_of(card_of(), OUTCOMES)[REPORT_JSON]).model_dump()
    for name in ("judge_hash", "judged_at", "issuer", "without_base", "without_parent"):
        del stored[name]
    old = Report.model_validate(stored)
    assert (old.judge_hash, old.issuer, old.date) == (None, "", old.card.created_at)
