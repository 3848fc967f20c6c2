"""A client that keeps account: what the server accepted, and how each of it ended."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic
from typing import Any

import httpx

PENDING = ("queued", "in_progress")
WRONG = (
    "failed",
    "not ended",
    "unknown to the server",
    "listed twice",
    "listed but never accepted",
    "content missing or cut",
)
"""Entries of `Ledger.outcome` that are empty or 0 if nothing was lost."""
_PAUSE_S = 0.2


@dataclass
class Ledger:
    """Everything that was accepted over one address, under whatever server answered there."""

    url: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Headers of every request: those of a key, if the server asks for one."""
    videos: list[str] = field(default_factory=list[str])
    encoders: list[str] = field(default_factory=list[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    """Answers other than 200, by status and code. Each request was sent again afterwards."""

    def video(self, until: Event, **body: object) -> None:
        """Have a video accepted: repeat the request, with its key, until it is answered with 200.

        Args:
            until: set when it is of no use any more to try.
            body: fields of the request, beside a short prompt.
        """
        request = {"prompt": "pogo in a meadow", "steps": 6, "frames": 4, **body}
        answer = self._accepted("/v1/videos", request, until)
        if answer is not None:
            self.videos.append(answer["id"])

    def encoder(self, until: Event, **body: object) -> None:
        """Have an encoder accepted; see `video`."""
        request: dict[str, object] = {
            "id": f"made-{uuid.uuid4().hex[:8]}",
            "concept": "pogo",
            "kind": "character",
            "settings": {"steps": 40},
            "gate": {"tier": "quick", "max_probes": 4, "min_forget_rate": 0, "max_retain_drop": 1},
            **body,
        }
        answer = self._accepted("/v1/encoders", request, until)
        if answer is not None:
            self.encoders.append(answer["id"])

    def pending(self) -> int:
        """Return how many of the accepted jobs have not ended; all while the server is down."""
        try:
            return sum(self._state(path)["status"] in PENDING for path in self._paths())
        except (httpx.HTTPError, KeyError):
            return len(self.videos) + len(self.encoders)

    def wait_ended(self, timeout_s: float) -> float:
        """Wait until every accepted job has ended or the time is over; return the seconds."""
        began = monotonic()
        while self.pending() and monotonic() - began < timeout_s:
            time.sleep(1)
        return monotonic() - began

    def outcome(self) -> dict[str, Any]:
        """Count how the accepted jobs ended, and what is wrong with that."""
        states = {path: self._state(path) for path in self._paths()}
        statuses = Counter(state.get("status", "unknown") for state in states.values())
        listed = self._listed()
        twice = [video for video, times in Counter(listed).items() if times > 1]
        unplayable = [
            path
            for path, state in states.items()
            if state.get("status") == "completed" and not self._is_whole(path)
        ]
        failed = {
            path: (state.get("error") or {}).get("code")
            for path, state in states.items()
            if state.get("status") == "failed"
        }
        return {
            "accepted": len(states),
            "ended": dict(statuses),
            "failed": failed,
            "not ended": sum(state.get("status") in PENDING for state in states.values()),
            "unknown to the server": sum("status" not in state for state in states.values()),
            "listed twice": twice,
            "listed but never accepted": sorted(set(listed) - set(self.videos)),
            "content missing or cut": unplayable,
            "refused meanwhile": dict(self.refused),
        }

    def _accepted(self, path: str, body: dict[str, object], until: Event) -> dict[str, Any] | None:
        headers = {**self.headers, "Idempotency-Key": uuid.uuid4().hex}
        while not until.is_set():
            try:
                answer = httpx.post(self.url + path, json=body, headers=headers, timeout=60)
            except httpx.TransportError as error:
                self.refused[type(error).__name__] += 1
            else:
                if answer.status_code == 200:
                    return answer.json()
                self.refused[f"{answer.status_code} {answer.json()['error']['code']}"] += 1
            time.sleep(_PAUSE_S)
        return None

    def _paths(self) -> list[str]:
        return [f"/v1/videos/{video}" for video in self.videos] + [
            f"/v1/encoders/{encoder}" for encoder in self.encoders
        ]

    def _state(self, path: str) -> dict[str, Any]:
        return self._get(path).json()

    def _listed(self) -> list[str]:
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = self._get("/v1/videos", limit="100", **after).json()
            found += [video["id"] for video in page["data"]]
            if not page["has_more"]:
                return found
            after = {"after": found[-1]}

    def _get(self, path: str, **query: str) -> httpx.Response:
        return httpx.get(self.url + path, params=query, headers=self.headers, timeout=60)

    def _is_whole(self, path: str) -> bool:
        answer = self._get(f"{path}/content")
        return (
            answer.status_code == 200
            and len(answer.content) == int(answer.headers["content-length"])
            and b"ftyp" in answer.content[:32]
        )


class Load:
    """Threads that keep a few jobs under way until they are told to stop.

    Args:
        ledger: the account to which the jobs are added.
        most: jobs that may be pending; no more are sent then.
        encoder_every: one job in this many is an encoder; 0: none.
    """

    def __init__(self, ledger: Ledger, most: int = 6, encoder_every: int = 12) -> None:
        self._ledger = ledger
        self._most = most
        self._encoder_every = encoder_every
        self._over = Event()
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more. A request under way is given up if the server does not answer.

        Raises:
            RuntimeError: the load had ended before, by an error.
        """
        self._over.set()
        self._thread.join()
        if self._error is not None:
            error, self._error = self._error, None
            raise RuntimeError("there was no load any more") from error

    def _run(self) -> None:
        try:
            self._send()
        except Exception as error:
            self._error = error

    def _send(self) -> None:
        sent = 0
        while not self._over.is_set():
            if self._ledger.pending() >= self._most:
                self._over.wait(0.5)
                continue
            sent += 1
            if self._encoder_every and sent % self._encoder_every == 1:
                self._ledger.encoder(self._over)
            else:
                self._ledger.video(self._over, seed=sent)
