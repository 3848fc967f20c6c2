"""A stored report as one reader sees it: the page, the JSON, the zip and the single files."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from encoders import InvalidId, ReportNotFound
from unlearn.report.model import PAGE_VERSION, REPORT_HTML, REPORT_JSON, Report

if TYPE_CHECKING:
    from encoders.store import EncoderStore
    from server.api.visibility import Visibility


class ReportView:
    """The report of one published encoder, whole or reduced.

    Its methods raise ReportNotFound for what is not stored, or what the reader may not see.

    Args:
        store: The published encoders.
        encoder_id: The encoder.
        visibility: What the reader may see; of the rest nothing is in any form of the report.
    """

    def __init__(self, store: EncoderStore, encoder_id: str, visibility: Visibility) -> None:
        self._store = store
        self._encoder_id = encoder_id
        self._visibility = visibility

    @cached_property
    def report(self) -> Report:
        """The report as this reader may see it."""
        try:
            report = Report.model_validate_json(self._stored_json)
        except ValueError as error:
            raise ReportNotFound(
                f"The report of encoder {self._encoder_id!r} has a form that this server does not "
                "know; only format=html and format=json are there.",
                param="encoder_id",
            ) from error
        parent = report.card.parent
        return report.reduced(
            base=not self._visibility.sees_base,
            parent=parent is not None and not self._visibility.sees(parent),
        )

    def page(self) -> bytes:
        """Return the page as one file.

        It is the stored one, unless an earlier version made that, or the reader may not see it all.
        """
        stored = self._top(REPORT_HTML)
        try:
            report = self.report
        except ReportNotFound:
            if not self._visibility.sees_all:
                raise
            return stored
        if report.page_version == PAGE_VERSION and not report.is_reduced:
            return stored
        from unlearn.report.page import render_page
        from unlearn.report.stored_pictures import stored_pictures

        return render_page(report, stored_pictures(report, self.file)).encode()

    def json(self) -> bytes:
        """Return the report as JSON."""
        if not self._visibility.sees_all and self.report.is_reduced:
            return self.report.model_dump_json(indent=2).encode()
        return self._stored_json

    def zip(self) -> bytes:
        """Return the zip. Raises BundleTooLarge."""
        from unlearn.report.bundle import bundle

        return bundle(self.report, self.file)

    def file(self, name: str) -> bytes:
        """Return a clip or still."""
        if not self._visibility.sees_all and name not in self.report.files:
            raise ReportNotFound(
                f"The report of encoder {self._encoder_id!r} has no file {name[:80]!r}.",
                param="file",
            )
        try:
            return self._store.report(self._encoder_id, name)
        except (ReportNotFound, InvalidId) as error:
            error.param = "file"
            raise

    @cached_property
    def _stored_json(self) -> bytes:
        return self._top(REPORT_JSON)

    def _top(self, name: str) -> bytes:
        """Return report.json or report.html; without them there is no report."""
        try:
            return self._store.report(self._encoder_id, name)
        except ReportNotFound as error:
            raise ReportNotFound(
                f"Encoder {self._encoder_id!r} has no report: it was imported and not judged, or "
                "made before there were reports.",
                param="encoder_id",
            ) from error
