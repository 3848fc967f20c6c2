"""Helpers of the ledger's tests: exports over HTTP, and clips that are made for several keys."""

from __future__ import annotations

from typing import Any

from marking.ledger import LedgerEntry, LedgerExport, LedgerPage
from marking.ledger_check import check_export
from tests.server.help import Client, bearer, wait_for

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}


def made(client: Client, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """Have a clip made by a key, and return the video."""
    secret = None if key is None else f"secret-{key}"
    answer = client.post("/v1/videos", json={**QUICK, **fields}, headers=bearer(secret))
    assert answer.status_code == 200, answer.text
    ended = wait_for(client, f"/v1/videos/{answer.json()['id']}", key=secret)
    assert ended["status"] == "completed", ended
    return ended


def exported(
    client: Client, query: str = "", *, key: str | None = "boss", limit: int = 100
) -> LedgerExport:
    """Export the ledger, page by page."""
    pages: list[LedgerPage] = []
    after = 0
    while True:
        path = f"/v1/ledger?limit={limit}&after={after}{query}"
        answer = client.get(path, headers=bearer(key and f"secret-{key}"))
        assert answer.status_code == 200, answer.text
        pages.append(LedgerPage.model_validate(answer.json()))
        after = pages[-1].last_sequence
        if not pages[-1].has_more:
            return LedgerExport(pages=pages)


def entries_of(export: LedgerExport) -> list[LedgerEntry]:
    """Return the entries that an export shows, after checking that it holds."""
    verdict = check_export(export)
    assert verdict.holds, verdict.sentence
    return [item for page in export.pages for item in page.entries if isinstance(item, LedgerEntry)]
