"""The report as one signed zip: a page, its clips and stills, and the data. It needs no server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256

from encoders.card import Card
from encoders.errors import PalimpsestError
from marking.publication import PUBLICATION
from marking.report_statement import ReportFacts
from marking.signed_zip import ELSEWHERE, make_signed_zip
from marking.signing_key import SigningKey
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.page import CLIPS, STYLESHEET, render_folder_page
from unlearn.report.rendering import stylesheet
from unlearn.report.verdict import verdict_of

MAX_BYTES = 256 << 20
"""Most bytes of the files in a zip, which is built in memory."""


CARD_JSON = "card.json"
PUBLISHED = (REPORT_JSON, CARD_JSON, PUBLICATION)
"""The signed files, which stay as they were written whatever later versions would write."""


class BundleTooLarge(PalimpsestError):
    """A report whose files are too large for one zip."""

    code = "report_too_large"


def bundle(
    report: Report,
    read: Callable[[str], bytes],
    *,
    identity: str,
    key: SigningKey,
    published: Mapping[str, bytes] | None = None,
) -> bytes:
    """Build the zip. The same report and a key in a PEM file give the same bytes.

    It holds report.html with report.css, `clips/`, report.json, card.json and measures.json, and a
    signed statement about all of them (`marking.signed_zip`).

    Args:
        report: The report; of a `reduced` one the zip holds what is left.
        read: Returns the content of one of the report's files.
        identity: The encoder's; a reduced report's card does not tell it.
        key: The operator's.
        published: The files that were signed when the encoder was published, and the publication,
            byte for byte (`PUBLISHED`); None: nothing was signed, or the report is reduced.

    Raises:
        BundleTooLarge: The files have more than `MAX_BYTES`.
        SigningFailed: The key could not sign.
    """
    card = report.card
    content = {
        REPORT_HTML: render_folder_page(report).encode(),
        STYLESHEET: str(stylesheet()).encode(),
        REPORT_JSON: report.model_dump_json(indent=2).encode(),
        CARD_JSON: card.to_json(),
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
    content |= published or {}
    facts = facts_of(report, identity)
    return make_signed_zip(content, facts, key, elsewhere=_elsewhere(card))


def published_digests(card: Card, files: Mapping[str, bytes]) -> dict[str, str]:
    """Return what a publication is about: the report, the card and the overrides, by SHA-256.

    Args:
        card: The encoder's card.
        files: Those of `report_files`.
    """
    content = {CARD_JSON: card.to_json(), REPORT_JSON: files[REPORT_JSON]}
    found = {name: sha256(data).hexdigest() for name, data in content.items()}
    return found | {ELSEWHERE + name: digest for name, digest in _elsewhere(card).items()}


def _elsewhere(card: Card) -> dict[str, str]:
    """Return the SHA-256 of the encoder's own file; a composite has none."""
    return {} if card.members else {"overrides.safetensors": card.stored.split(":")[1]}


def facts_of(report: Report, identity: str, claim_digest: str | None = None) -> ReportFacts:
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
        claim_digest=claim_digest,
    )
