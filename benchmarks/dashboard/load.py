"""The load that fills the dashboard: videos of several encoders and keys, one encoder that is made.

The key `blue` sends more than its limits let it, so most of what it asks is refused. After the load
the server is left alone for a while, so that it audits encoders and looks at delivered clips.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from threading import Thread
from typing import Any

from benchmarks.faults.served import Served, asked, call, wait_ended
from benchmarks.serving.encoders import name_of

MADE = "no-pogo"
ADMIN, LIMITED = "acme", "blue"
_PAUSE_S = 0.5
SETTINGS: dict[str, object] = {
    # An encoder is to be published, however little it forgets: it is the load, and is not judged.
    "gate_tier": "quick",
    "max_probes": 2,
    "judged_videos": 1,
    "min_base_rate": 0,
    "min_forget_rate": 0,
    "max_retain_drop": 1,
    "videos_in_flight": 2,  # the others wait in the queue
    "audit_share": 0.5,
    "audited_clips_share": 1.0,
    "encoder_cache_bytes": 600_000,  # so small that encoders are dropped and loaded again
}
"""Settings of the server."""
_SHORT = {"steps": 4, "frames": 4}
_LONG = {"steps": 12, "frames": 8}
_ENCODER = {
    "id": MADE,
    "concept": "pogo",
    "kind": "character",
    "settings": {"steps": 60},
    "ways": False,
}


KEYS: dict[str, dict[str, Any]] = {
    ADMIN: {"role": "admin"},
    LIMITED: {"limits": {"requests_per_minute": 12, "queued": 2}},
}
"""Entries of the keys file."""


def drive(server: Served, encoders: int, seconds: float) -> None:
    """Keep the server busy for some seconds, and return once all of it has ended.

    Args:
        server: The server, which has random encoders.
        encoders: Number of them.
        seconds: Time for which requests are sent.

    Raises:
        RuntimeError: A request of the admin's was refused, or the encoder was not made.
    """
    names = [None, *map(name_of, range(encoders))]
    until = time.monotonic() + seconds
    asked(server, "POST", "/v1/encoders", ADMIN, _ENCODER)
    clients = [
        Thread(target=_client, args=(server, key, names, until, number), daemon=True)
        for number, key in enumerate([ADMIN, ADMIN, ADMIN, LIMITED])
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    _wait_published(server)
    for number in range(4):  # the encoder that was made decides about each prompt
        body = {"prompt": "pogo in a meadow", "encoder": MADE, "seed": number, **_SHORT}
        wait_ended(server, asked(server, "POST", "/v1/videos", ADMIN, body).json()["id"], ADMIN)


def _client(
    server: Served, key: str, names: Sequence[str | None], until: float, number: int
) -> None:
    """Send a video after the other. Only the admin waits until each has ended."""
    draw = random.Random(number)
    while time.monotonic() < until:
        body = {
            "prompt": "a red ball bouncing in a meadow",
            "encoder": draw.choice(names),
            "seed": draw.randrange(1_000),
            **draw.choice([_SHORT, _LONG]),
        }
        answer = call(server.url, "POST", "/v1/videos", body, key=f"secret-{key}")
        if answer.is_success and key == ADMIN:
            wait_ended(server, answer.json()["id"], key)
        else:
            time.sleep(_PAUSE_S)


def _wait_published(server: Served) -> None:
    until = time.monotonic() + 600
    while (state := asked(server, "GET", f"/v1/encoders/{MADE}", ADMIN).json())["status"] in (
        "queued",
        "in_progress",
    ):
        if time.monotonic() > until:
            raise RuntimeError(f"the encoder is not made in ten minutes: {state}")
        time.sleep(_PAUSE_S)
    if state["status"] != "published":
        raise RuntimeError(f"the encoder was not published: {state['error']}")
