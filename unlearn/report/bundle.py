"""The report as one signed zip: a page, its clips and stills, and the data. It needs no server."""

from __future__ import annotations

import json
from collections.abc import Callable

from encoders.errors import PalimpsestError
from marking.report_statement import ReportFacts
from marking.signed_zip import make_signed_zip
from marking.signing_key import SigningKey
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.page import CLIPS, STYLESHEET, render_folder_page
from unlearn.report.rendering import stylesheet
from unlearn.report.verdict import verdict_of

MAX_BYTES = 256 << 20
"""Most bytes of the files in a zip, which is built in memory."""


class BundleTooLarge(PalimpsestError):
    """A report whose files are too large for one zip."""

    code = "report_too_large"


def bundle(
    report: Report, read: Callable[[str], bytes], *, identity: str, key: SigningKey
) -> bytes:
    """Build the zip. The same report and a key in a PEM file give the same bytes.

    It holds report.html with report.css, `clips/`, report.json, card.json and measures.json, and a
    signed statement about all of them (`marking.signed_zip`).

    Args:
        report: The report; of a `reduced` one the zip holds what is left.
        read: Returns the content of one of the report's files.
        identity: The encoder's; a reduced report's card does not tell it.
        key: The operator's.

    Raises:
        BundleTooLarge: The files have more than `MAX_BYTES`.
        SigningFailed: The key could not sign.
    """
    card = report.card
    content = {
        REPORT_HTML: render_folder_page(report).encode(),
        STYLESHEET: str(stylesheet()).encode(),
        REPORT_JSON: report.model_dump_json(indent=2).encode(),
        "card.json": card.to_json(),
        "measures.json": json.dumps(card.measures, ensure_ascii=False, indent=2).encode(),
    }
    size = sum(map(len, content.values()))
    for name in report.files:
        content[f"{CLIPS}/{name}"] = data = read(name)
        size += len(data)
        if size > MAX_BYTES:
            raise BundleTooLarge(
                f"The files of the report on {card.id!r} have more than {MAX_BYTES} bytes, too "
                "many for one zip: download them one by one.",
                param="format",
            )
    # A composite has no overrides of its own.
    elsewhere = {} if card.members else {"overrides.safetensors": card.stored.split(":")[1]}
    return make_signed_zip(content, facts_of(report, identity), key, elsewhere=elsewhere)


def facts_of(report: Report, identity: str) -> ReportFacts:
    """Return what a signed report stands for."""
    card = report.card
    return ReportFacts(
        encoder_id=card.id,
        encoder_identity=identity,
        base=card.base,
        concepts=card.concepts,
        judge=report.judge,
        reported_at=report.date,
        issuer=report.issuer,
        verdict=verdict_of(card, report.pairs),
    )
