"""The report as one zip: a page, its clips and stills, and the data. It needs no server."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from encoders.errors import PalimpsestError
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.page import CLIPS, STYLESHEET, render_folder_page
from unlearn.report.rendering import stylesheet

MAX_BYTES = 256 << 20
"""Most bytes of the files in a zip, which is built in memory."""


class BundleTooLarge(PalimpsestError):
    """A report whose files are too large for one zip."""

    code = "report_too_large"


def bundle(report: Report, read: Callable[[str], bytes]) -> bytes:
    """Build the zip. The same report gives the same bytes.

    It holds report.html with report.css, `clips/`, report.json, card.json and measures.json.

    Args:
        report: The report; of a `reduced` one the zip holds what is left.
        read: Returns the content of one of the report's files.

    Raises:
        BundleTooLarge: The files have more than `MAX_BYTES`.
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
    written = io.BytesIO()
    made = max(report.date.timetuple()[:6], (1980, 1, 1, 0, 0, 0))  # a zip knows no earlier time
    with ZipFile(written, "w") as file:
        for name, data in content.items():
            entry = ZipInfo(name, made)
            entry.external_attr = 0o644 << 16
            entry.compress_type = ZIP_STORED if name.startswith(CLIPS) else ZIP_DEFLATED
            file.writestr(entry, data)
    return written.getvalue()
