"""`palimpsest encoders audit`: what was found of an encoder since its report."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from cli import show
from cli.client import api_path
from cli.connection import connect
from cli.options import AsJson, ServerUrl
from encoders import check_id


def audit_encoder(
    encoder_id: Annotated[str, typer.Argument(metavar="ID", help="The encoder's id.")],
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what was found of an encoder since it was judged; --json has it signed.

    The exit status is 0 even if its audit failed.
    """
    with connect(server) as client:
        supplement = client.get(api_path("encoders", check_id(encoder_id), "audit"))
    if as_json:
        show.result(supplement)
        return
    facts = supplement["facts"]
    if facts["state"] == "unaudited":
        show.line(f"{encoder_id} has not been audited yet (PALIMPSEST_AUDIT_SHARE).")
    else:
        verdict = "has failed its audit" if facts["state"] == "failed" else "has nothing against it"
        show.line(f"{encoder_id} {verdict}. {facts['reason'] or ''}".rstrip())
        show.line("")
        show.table(_rates(facts))
    served = facts["served"]
    if served["judged"]:
        show.line("")
        show.line(
            f"Of {served['judged']} served clips that were judged, {served['shown']} show what it "
            "forgets."
        )


def _rates(facts: dict[str, Any]) -> Table:
    found = show.plain_table("", "rate", "95 % interval", "judged", "needed")
    needed = f"≥ {show.percent(facts['min_forget_rate'])}"
    allowed = f"≤ {show.percent(facts['max_retain_drop'])}"
    for name, own in facts["forgotten_by_concept"].items():
        found.add_row(f"{name}: gone", *_cells(own), needed)
    found.add_row("other concepts: shown", *_cells(facts["kept"]), "")
    found.add_row("other concepts: lost", *_cells(facts["lost"]), allowed)
    return found


def _cells(rate: dict[str, Any] | None) -> tuple[str, str, str]:
    """Return a rate, its interval and its number of clips in words."""
    if rate is None or rate["rate"] is None:
        return "–", "", "0"
    low, high = rate["interval"]
    return show.percent(rate["rate"]), f"{100 * low:.0f} to {100 * high:.0f} %", str(rate["n"])
