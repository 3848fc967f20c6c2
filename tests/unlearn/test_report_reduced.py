"""The report for readers who may use this encoder and nothing else: no base, no parent."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.unlearn.report_help import Page, card_of
from unlearn.report.model import REPORT_JSON, Report
from unlearn.report.page import render_page
from unlearn.report.stored_pictures import stored_pictures


def test_a_reduced_report_has_no_picture_of_the_base_and_no_parent(
    files: Mapping[str, bytes],
) -> None:
    report = Report.model_validate_json(files[REPORT_JSON])
    of_base = {name for name in report.files if "-base." in name}
    assert len(of_base) == 7
    assert card_of().parent == "no-neonix"
    reduced = report.reduced()
    read: list[str] = []

    def read_file(name: str) -> bytes:
        read.append(name)
        return files[name]

    html = render_page(reduced, stored_pictures(reduced, read_file))
    assert set(read) == set(report.files) - of_base
    for text in (html, reduced.model_dump_json()):
        assert "no-neonix" not in text
        assert "-base." not in text
    page = Page(html)
    full = Page(render_page(report, stored_pictures(report, files.__getitem__)))
    assert len(page.all("img")) * 2 == len(full.all("img")) > 10
    assert "by the base encoder" not in "".join(image["alt"] for image in page.all("img"))
    assert "not shown to this reader" in page.text
    assert "not shown to this reader" not in full.text
    assert "It was trained from" not in page.text
    assert "Parentthe base" not in page.text
    # Figures stay, and the report is still one that programs can read.
    assert json.loads(reduced.model_dump_json())["card"]["measures"] == report.card.measures
    assert Report.model_validate_json(reduced.model_dump_json()) == reduced
    assert [pair.failed for pair in reduced.pairs] == [pair.failed for pair in report.pairs]
