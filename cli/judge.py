"""`palimpsest encoders judge`: measure what a published encoder forgets."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from cli import show
from cli.client import Client, api_path
from cli.connection import connect
from cli.errors import CommandFailed
from cli.jobs import POLL_INTERVAL_S
from cli.options import (
    AsJson,
    GateTier,
    MaxProbes,
    MaxRetainDrop,
    MinBaseRate,
    MinForgetRate,
    ServerUrl,
)
from encoders import check_id


def judge_encoder(
    encoder_id: Annotated[str, typer.Argument(metavar="ID", help="The encoder's id.")],
    tier: GateTier = None,
    min_forget_rate: MinForgetRate = None,
    max_retain_drop: MaxRetainDrop = None,
    min_base_rate: MinBaseRate = None,
    max_probes: MaxProbes = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Judge an encoder that was published without being judged, such as an imported one.

    It stays published, whatever is found. If it does not reach what it has to, the exit status is
    1. Ctrl-C stops the command and not the judging.
    """
    gate = {
        "tier": tier,
        "min_forget_rate": min_forget_rate,
        "max_retain_drop": max_retain_drop,
        "min_base_rate": min_base_rate,
        "max_probes": max_probes,
    }
    path = api_path("encoders", check_id(encoder_id))
    with connect(server) as client:
        asked = {"gate": {name: value for name, value in gate.items() if value is not None}}
        encoder = _follow(client, path, client.post(f"{path}/judge", asked))
    if as_json:
        show.result(encoder)
    elif (measures := show.measures_table(encoder)) is not None:
        show.table(measures)
    if encoder["error"]:
        raise CommandFailed(f"{encoder_id} could not be judged: {encoder['error']['message']}")
    from unlearn.trial.gate import Gate  # takes a moment to import

    if failures := Gate(**encoder["gate"]).failures(encoder["measures"]):
        raise CommandFailed(f"{encoder_id} did not pass: {' '.join(failures)}")
    if not as_json:
        show.line(f"{encoder_id} is judged, and passed.")


def _follow(client: Client, path: str, encoder: dict[str, Any]) -> dict[str, Any]:
    with show.progress() as progress:
        task = progress.add_task(encoder["id"], total=100, phase="judging")
        while encoder["phase"] == "judging":
            time.sleep(POLL_INTERVAL_S)
            encoder = client.get(path)
            progress.update(task, completed=encoder["progress"], phase=encoder["phase"])
    return encoder
