"""Footer of the report: who issued what and when, at the page's end and on every printed page."""

from __future__ import annotations

import re

from markupsafe import Markup

from unlearn.report.model import Report

_PLAIN = re.compile(r"[A-Za-z0-9 ._:-]")

_PAGE_RULE = """@media print {{
  @page {{
    margin: 16mm 14mm 22mm;
    @bottom-left {{ content: {left}; white-space: pre-line; font: 6.5pt/1.35 Arial, sans-serif;
      vertical-align: top; padding-top: 3mm; width: 82%; text-align: left; }}
    @bottom-right {{ content: "Page " counter(page) " of " counter(pages);
      font: 7pt/1.35 Arial, sans-serif; vertical-align: top; padding-top: 3mm; }}
  }}
}}"""


def footer_lines(report: Report) -> tuple[str, ...]:
    """Return the footer's lines: the encoder and its digest, the date, the issuer, the signature.

    The date is that of judging, so the same report always gives the same page.
    """
    issuer = f"Issued by {report.issuer}. " if report.issuer else "Issued by: not stated. "
    return (
        f"Encoder {report.card.id}, {report.card.digest}",
        f"Report of {report.date:%Y-%m-%d}. {issuer}Not signed.",
    )


def page_rule(report: Report) -> Markup:
    """Return the CSS that prints the footer and the page's number at the foot of every page."""
    return Markup(_PAGE_RULE.format(left=css_string("\n".join(footer_lines(report)))))


def css_string(text: str) -> str:
    """Write any text as a CSS string that ends neither the string nor the `<style>` element."""
    # A space ends an escape and belongs to it, so that a space of the text is not taken for that.
    escaped = (c if _PLAIN.fullmatch(c) else f"\\{_valid(ord(c)):06x} " for c in text)
    return f'"{"".join(escaped)}"'


def _valid(code: int) -> int:
    """Replace what CSS cannot hold: NUL and surrogates."""
    return 0xFFFD if code == 0 or 0xD800 <= code <= 0xDFFF else code
