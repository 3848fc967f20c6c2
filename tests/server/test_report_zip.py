"""The report as a zip and as an older or a reduced page, over encoders with stored reports."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from zipfile import ZipFile

import pytest

from encoders import ReportNotFound
from marking.signed_zip import CERTIFICATES, STATEMENT
from server.api.report_view import ReportScope, ReportView
from tests.server.help import Client, assert_error, publish
from tests.unlearn.report_help import files_of
from unlearn.report.model import PAGE_VERSION

STORED = files_of()


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    """Return a server with three encoders: reported, reported by an earlier version, unreported."""
    client: Client = make_client()
    publish(client.runtime, "new", report=STORED)
    publish(client.runtime, "bare", seed=2)
    old = json.loads(STORED["report.json"])
    for name in (
        "page_version",
        "judge_hash",
        "judged_at",
        "issuer",
        "without_base",
        "without_parent",
    ):
        del old[name]
    earlier = {"report.json": json.dumps(old).encode(), "report.html": b"<p>stored</p>"}
    publish(client.runtime, "old", seed=3, report={**STORED, **earlier})
    return client


def test_the_zip_holds_all_of_the_report_and_works_without_the_server(client: Client) -> None:
    answer = client.get("/v1/encoders/new/report", params={"format": "zip"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="new-report.zip"' in answer.headers["content-disposition"]
    with ZipFile(io.BytesIO(answer.content)) as zipped:
        names = set(zipped.namelist())
        clips = {name for name in STORED if name.endswith((".mp4", ".png"))}
        assert len(clips) == 14
        top = {"report.html", "report.css", "report.json", "card.json", "measures.json"}
        top |= {STATEMENT, CERTIFICATES}
        assert names == top | {f"clips/{name}" for name in clips}
        addresses = re.findall(r'(?:href|src)="([^"]*)"', zipped.read("report.html").decode())
        assert len(addresses) > 14
        assert {address for address in addresses if address != "data:,"} <= names
        assert zipped.read("clips/forgotten-01-base.mp4") == STORED["forgotten-01-base.mp4"]
    again = client.get("/v1/encoders/new/report", params={"format": "zip"})
    assert again.content == answer.content
    assert again.headers["etag"] == answer.headers["etag"]


def test_without_a_report_there_is_no_zip(client: Client) -> None:
    missing = client.get("/v1/encoders/bare/report", params={"format": "zip"})
    assert_error(missing, 404, code="report_not_found", says="not judged")


def test_a_page_of_an_earlier_version_is_made_again(client: Client) -> None:
    page = client.get("/v1/encoders/old/report").text
    assert "stored" not in page.split("<body>")[0]
    assert "In 15 of 16 judged clips and stills" in page
    assert 'href="report/' not in page
    assert page == client.get("/v1/encoders/old/report").text
    assert client.get("/v1/encoders/old/report?format=zip").status_code == 200
    assert client.get("/v1/encoders/new/report").content == STORED["report.html"]
    assert json.loads(STORED["report.json"])["page_version"] == PAGE_VERSION


def test_a_reduced_view_has_nothing_of_the_base_and_no_parent(client: Client) -> None:
    nothing_else = ReportScope(everything=False, base=False, parent=None)
    view = ReportView(
        client.runtime.loaded.store,
        "new",
        nothing_else,
        client.runtime.storage.signing_keys.active,
    )
    for content in map(view.made, ("html", "json", "zip")):
        assert b"-base." not in content
        assert b"no-neonix" not in content
    assert b"no-neonix" in STORED["report.html"]
    assert view.file("forgotten-01-encoder.mp4") == STORED["forgotten-01-encoder.mp4"]
    for name in ("forgotten-01-base.mp4", "report.json", "../card.json"):
        with pytest.raises(ReportNotFound):
            view.file(name)
