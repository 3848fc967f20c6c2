"""The report as HTML: one file with all in it, or a page of a folder with its clips beside it.

Neither page loads anything from elsewhere, and nothing in it runs. Charts are inline SVG, and all
text is escaped (`unlearn.report.rendering`). The one file embeds its pictures as data: URIs and has
no links, so a copy of it is whole. The page of a folder has relative paths only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn.report.charts import interval_bar, loss_curve
from unlearn.report.damage import damage_facts
from unlearn.report.footer import footer_lines, page_rule
from unlearn.report.model import Pair, Report
from unlearn.report.rates import rate_of, rates
from unlearn.report.rendering import render, stylesheet
from unlearn.report.tables import (
    by_concept,
    decision_text,
    gate_facts,
    identity_facts,
    way_rows,
)
from unlearn.report.verdict import certainty, verdict_of

if TYPE_CHECKING:
    from unlearn.report.pictures import Inline

CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; media-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The one file's Content-Security-Policy, for its head and for the header it is served with."""
FOLDER_CSP = (
    "script-src 'none'; object-src 'none'; frame-src 'none'; connect-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""The policy of the page of a folder: browsers disagree if files beside a file are 'self'."""
CLIPS, STYLESHEET = "clips", "report.css"
"""The folder and the file beside the page of a folder."""


@dataclass(frozen=True)
class PairGroup:
    """The pairs of what was to be forgotten, or of what was to be kept."""

    title: str
    prompts: str
    """A sentence about the prompts."""
    wrong: str
    """A clause for a failed pair."""
    failed: int
    judged: int
    shown: tuple[Pair, ...]
    """The pairs whose pictures are on the page, in the order of their files."""

    @classmethod
    def of(cls, report: Report, *, is_target: bool) -> PairGroup:
        """Gather one group's pairs of a report."""
        pairs = [pair for pair in report.pairs if pair.is_target == is_target]
        shown = [pair for pair in pairs if pair.encoder_file]
        words = (
            (
                "Forgotten: what it draws"
                if report.without_base
                else "Forgotten: before and after",
                "These prompts name a concept that is to be gone.",
                "this encoder still shows it",
            )
            if is_target
            else (
                "Kept: what it draws" if report.without_base else "Kept: before and after",
                "These prompts name other concepts, which are to stay.",
                "the base shows it and this encoder does not",
            )
        )
        return cls(
            *words,
            failed=sum(pair.failed for pair in pairs),
            judged=len(pairs),
            shown=tuple(sorted(shown, key=lambda pair: pair.encoder_file or "")),
        )


def render_page(report: Report, inline: Mapping[str, Sequence[Inline]]) -> str:
    """Render the one file.

    Args:
        report: the content.
        inline: report file → its picture, and for a clip also its strip of frames; for every file
            that the report's pairs name.
    """
    return _render(report, inline, None)


def render_folder_page(report: Report) -> str:
    """Render the page of a folder: its clips and stills lie in `CLIPS`, its style in `STYLESHEET`.

    A clip is a video element that plays by itself.
    """
    return _render(report, {}, CLIPS)


def _render(report: Report, inline: Mapping[str, Sequence[Inline]], folder: str | None) -> str:
    measures = report.card.measures
    groups = [PairGroup.of(report, is_target=is_target) for is_target in (True, False)]
    page = render(
        "report.html",
        report=report,
        card=report.card,
        csp=FOLDER_CSP if folder else CSP,
        css=None if folder else stylesheet(),
        stylesheet=STYLESHEET,
        page_rule=page_rule(report),
        folder=folder,
        inline=inline,
        verdict=verdict_of(report.card, report.pairs),
        footer=footer_lines(report),
        groups=[group for group in groups if group.shown],
        forget=rate_of(measures, "forget"),
        retain=rate_of(measures, "retain"),
        base_retain=rate_of(measures, "base_retain"),
        rates=rates(measures),
        ways=way_rows(report.card),
        by_concept=by_concept(measures),
        damage=damage_facts(measures),
        gate=gate_facts(measures),
        decision=decision_text(measures),
        certainty=certainty(measures),
        identity=identity_facts(report),
        interval_bar=interval_bar,
        loss_curve=loss_curve,
    )
    return str(page)
