"""H6 while replicas die: a customer whose key is bound to a set asks for what it may not have."""

from __future__ import annotations

from collections import Counter
from threading import Event, Thread
from typing import Any

import httpx

from benchmarks.faults.ledger import Ledger
from benchmarks.replicas.cluster import Cluster

POLICY, OTHER = "policy", "no-suri"
"""The set that the key is bound to, and an encoder that is no member of it."""
MEMBERS = ("no-pogo", "no-star")
NAMING = "pogo and a star at sunset"
"""A prompt that names what both members forget."""
KEYS: dict[str, dict[str, Any]] = {
    "studio": {"default_encoder": "base"},
    "bound": {"encoders": [POLICY], "default_encoder": POLICY},
}
"""Keys of the keys file (`write_keys`)."""
_NOT_NOW = frozenset({429, 500, 502, 503, 504})
"""Answers while a replica, the database or the store is away."""
_PAUSE_S = 0.5


def headers(key: str) -> dict[str, str]:
    """Return the headers by which a request has a key of `KEYS`."""
    return {"Authorization": f"Bearer secret-{key}"}


class BoundCustomer:
    """A thread that asks for clips of its own, and for others, until it is told to stop.

    Args:
        url: Address of the proxy.
        others: The account of the other customer, whose clips it tries to read.
    """

    def __init__(self, url: str, others: Ledger) -> None:
        self.own = Ledger(url, headers("bound"))
        self.answers: Counter[str] = Counter()
        """Answers to what it may not have, by status."""
        self.wrong: list[str] = []
        """Answers that gave it more than its key may have."""
        self._others = others
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask nothing more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            for encoder in ("base", OTHER, MEMBERS[0]):
                self._ask("POST", "/v1/videos", {"prompt": NAMING, "encoder": encoder})
            for video in self._others.videos[-1:]:
                self._ask("GET", f"/v1/videos/{video}/content")
            if self.own.pending() < 3:
                self.own.video(self._over, prompt=NAMING)
            self._over.wait(_PAUSE_S)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Ask once for what the key may not have; anything but a refusal or an outage is wrong."""
        try:
            answer = httpx.request(
                method, self.own.url + path, json=body, headers=self.own.headers, timeout=60
            )
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
            return
        self.answers[str(answer.status_code)] += 1
        if answer.status_code not in {403, 404} | _NOT_NOW:
            self.wrong.append(f"{method} {path} {body}: {answer.status_code}")


def unlike_the_policy(made: Cluster, identities: dict[str, str]) -> list[str]:
    """Return what the records of the bound key's clips say against its policy.

    Every clip has to be made by the set, and every member has to be evaluated for its prompt.

    Args:
        made: The cluster.
        identities: Identity of each encoder by its id.
    """
    columns = "id, status, encoder_id, encoder_digest, decisions"
    rows = made.rows(f"SELECT {columns} FROM videos WHERE owner = 'bound'")
    members = {identities[name] for name in MEMBERS}
    wrong: list[str] = []
    for video, status, encoder, identity, decisions in rows:
        evaluated = [{one["encoder_identity"] for one in text} for text in decisions or []]
        if (encoder, identity) != (POLICY, identities[POLICY]):
            wrong.append(f"{video}: made with {encoder}")
        elif status == "completed" and members not in evaluated:
            wrong.append(f"{video}: only {evaluated} were evaluated")
    return wrong
