"""The report as a zip: whole, readable from its unpacked folder, and the same bytes each time."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.unlearn.report_help import MEASURES, OUTCOMES, Page, card_of
from unlearn.report import bundle as bundle_module
from unlearn.report.bundle import BundleTooLarge, bundle
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report


@pytest.fixture(scope="module")
def report(files: Mapping[str, bytes]) -> Report:
    return Report.model_validate_json(files[REPORT_JSON])


@pytest.mark.parametrize("is_reduced", [False, True])
def test_every_address_of_the_page_is_a_file_of_the_unpacked_folder(
    files: Mapping[str, bytes], report: Report, tmp_path: Path, is_reduced: bool
) -> None:
    report = report.reduced() if is_reduced else report
    with ZipFile(io.BytesIO(bundle(report, files.__getitem__))) as zipped:
        assert zipped.testzip() is None
        zipped.extractall(tmp_path)
    page = Page((tmp_path / REPORT_HTML).read_text("utf-8"))
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("href", "src") and not value.startswith("data:")
    ]
    assert {Path(address).suffix for address in addresses} == {".css", ".mp4", ".png"}
    for address in addresses:
        assert re.fullmatch(r"(clips/)?[a-z0-9-]+\.(css|mp4|png)", address)
        assert (tmp_path / address).is_file(), address
    shown = {address for address in addresses if address.startswith("clips/")}
    assert shown == {f"clips/{path.name}" for path in (tmp_path / "clips").iterdir()}
    assert len(shown) == (7 if is_reduced else 14)
    css = (tmp_path / "report.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_the_clips_of_the_folder_play_and_are_the_stored_ones(
    files: Mapping[str, bytes], report: Report
) -> None:
    with ZipFile(io.BytesIO(bundle(report, files.__getitem__))) as zipped:
        page = Page(zipped.read(REPORT_HTML).decode())
        for name in report.files:
            assert zipped.read(f"clips/{name}") == files[name]
        assert Report.model_validate_json(zipped.read(REPORT_JSON)) == report
        assert json.loads(zipped.read("card.json")) == json.loads(card_of().to_json())
        assert json.loads(zipped.read("measures.json")) == MEASURES
    videos = page.all("video")
    assert len(videos) == 2 * sum(o.probe.base.frames is not None for o in OUTCOMES) == 4
    for video in videos:
        assert {"controls", "autoplay", "loop", "muted", "playsinline"} < set(video)
        assert video["aria-label"]


def test_the_same_report_is_the_same_zip(files: Mapping[str, bytes], report: Report) -> None:
    first = bundle(report, files.__getitem__)
    assert bundle(Report.model_validate_json(report.model_dump_json()), dict(files).get) == first  # type: ignore[arg-type]
    with ZipFile(io.BytesIO(first)) as zipped:
        assert {entry.date_time for entry in zipped.infolist()} == {(2026, 2, 3, 4, 5, 0)}


def test_a_report_that_is_too_large_is_refused(
    files: Mapping[str, bytes], report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(bundle_module, "MAX_BYTES", 40_000)
    with pytest.raises(BundleTooLarge, match="more than 40000 bytes"):
        bundle(report, lambda name: read.append(name) or b"x" * 30_000)
    assert 0 < len(read) < len(report.files)
