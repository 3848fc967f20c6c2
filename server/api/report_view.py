"""A stored report as one reader sees it: the page, the JSON, the zip and the single files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from pydantic_core import from_json

from encoders import InvalidId, ReportNotFound
from marking.publication import PUBLICATION, read_publication
from unlearn.report.bundle import PUBLISHED, bundle
from unlearn.report.model import PAGE_VERSION, REPORT_HTML, REPORT_JSON, Report

if TYPE_CHECKING:
    from encoders.store import EncoderStore
    from marking.signing_key import SigningKey

Format = Literal["html", "json", "zip"]


@dataclass(frozen=True)
class ReportScope:
    """The part of an encoder's report that a reader may see: the same for many readers."""

    everything: bool
    """True if nothing is hidden."""
    base: bool
    """True if the base's pictures are shown."""
    parent: str | None
    """Id of the encoder's parent, if the reader may learn it. Any other id is hidden."""


class ReportView:
    """The report of one published encoder, as far as its reader may see it.

    Its methods raise ReportNotFound for what is not stored, or what the reader may not see.

    Args:
        store: The published encoders.
        encoder_id: The encoder.
        scope: What the reader may see; of the rest nothing is in any form of the report.
        signing_key: Returns the key that the zip is signed with.
        publication: SHA-256 of what was signed when the encoder was published; None: nothing was.
    """

    def __init__(
        self,
        store: EncoderStore,
        encoder_id: str,
        scope: ReportScope,
        signing_key: Callable[[], SigningKey],
        publication: str | None = None,
    ) -> None:
        self._store = store
        self._signing_key = signing_key
        self._publication = publication
        self._encoder_id = encoder_id
        self._scope = scope

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
        if self._scope.everything:
            return report
        parent = report.card.parent
        return report.reduced(
            base=not self._scope.base,
            parent=bool(report.card.members)
            or (parent is not None and parent != self._scope.parent),
        )

    def stored(self, form: Format) -> bytes | None:
        """Return a form of the report if it is stored as this reader may see it; else None."""
        if form == "html":
            stored = self._top(REPORT_HTML)
            try:
                report = self.report
            except ReportNotFound:
                if self._scope.everything:
                    return stored
                raise
            is_current = report.page_version == PAGE_VERSION and not report.is_reduced
            return stored if is_current else None
        return self._stored_json if form == "json" and self._scope.everything else None

    def made(self, form: Format) -> bytes:
        """Make a form of the report, which can take seconds for a page or a zip.

        Raises:
            BundleTooLarge: The zip would be.
            SigningFailed: The zip could not be signed.
        """
        if form == "json":
            is_reduced = self.report.is_reduced
            return (
                self.report.model_dump_json(indent=2).encode() if is_reduced else self._stored_json
            )
        if form == "zip":
            published = self._published()
            identity = self._store.card(self._encoder_id).identity
            return bundle(
                self.report,
                self.file,
                identity=identity,
                key=self._signing_key(),
                published=None if self.report.is_reduced else published,
            )
        from unlearn.report.page import render_page
        from unlearn.report.stored_pictures import stored_pictures

        return render_page(self.report, stored_pictures(self.report, self.file)).encode()

    def _published(self) -> dict[str, bytes] | None:
        """Return the files that were signed when the encoder was published, and are unchanged.

        Raises:
            ReportNotFound: One of them was changed or removed since: it must not be signed again.
        """
        if self._publication is None:  # an earlier version signed nothing
            return None
        damaged = ReportNotFound(
            f"The report of encoder {self._encoder_id!r} is damaged: it is not the one that was "
            "signed when the encoder was published.",
            param="encoder_id",
        )
        try:
            files = {name: self._store.report(self._encoder_id, name) for name in PUBLISHED}
        except ReportNotFound as error:
            raise damaged from error
        found = {name: sha256(content).hexdigest() for name, content in files.items()}
        if found[PUBLICATION] != self._publication:
            raise damaged
        signed = read_publication(files[PUBLICATION]).digests
        if any(found[name] != signed[name] for name in found if name != PUBLICATION):
            raise damaged
        return files

    def file(self, name: str) -> bytes:
        """Return a clip or still."""
        if not self._scope.everything and name not in self.report.files:
            raise ReportNotFound(
                f"The report of encoder {self._encoder_id!r} has no file {name[:80]!r}.",
                param="file",
            )
        try:
            content = self._store.report(self._encoder_id, name)
        except (ReportNotFound, InvalidId) as error:
            error.param = "file"
            raise
        written = self._digests.get(name)
        if written is not None and written != f"sha256:{sha256(content).hexdigest()}":
            raise ReportNotFound(
                f"The file {name!r} of encoder {self._encoder_id!r}'s report is damaged: it is not "
                "what was written.",
                param="file",
            )
        return content

    @cached_property
    def _digests(self) -> Mapping[str, str]:
        """Digests of the report's files, as far as the report can be read."""
        try:
            return self.report.files
        except ReportNotFound:
            return {}

    @cached_property
    def _stored_json(self) -> bytes:
        stored = self._top(REPORT_JSON)
        try:
            is_report = isinstance(from_json(stored), dict)
        except ValueError:
            is_report = False
        if not is_report:
            raise ReportNotFound(
                f"The report of encoder {self._encoder_id!r} is damaged: report.json is no JSON "
                "object.",
                param="encoder_id",
            )
        return stored

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
