"""H10: data of every earlier version is migrated; a database that cannot be says what to do."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.faults.broken_databases import BREAKS, DATABASES
from benchmarks.faults.earlier_data import ENCODER, SCHEMAS, VIDEO, restore, rows
from benchmarks.faults.served import Served, call, served, wait_ended

_PENDING = ("queued", "in_progress")
_ANSWERS_S = 60.0
_STAYS_S = 4.0
"""Seconds for which a worker over a broken database is watched; a respawn would show."""
_REMEDIES = ("restore", "move this file away", "give this user", "install that version")


def upgrades(work: Path, every: int) -> dict[str, Any]:
    """Start a server on each earlier version's data, and on databases that are broken.

    Args:
        work: the folder for data and logs.
        every: use one fixture and one broken database in so many.
    """
    migrated: dict[str, Any] = {}
    for schema in SCHEMAS[::every]:
        migrated[schema] = _migrated(work / schema, schema)
    breaks = [(database, name) for name in BREAKS for database in DATABASES][::every]
    refused: dict[str, Any] = {}
    for database, name in breaks:
        refused[f"{database}: {name}"] = _refused(work / "broken" / database / name, database, name)
    return {
        "data directories": migrated,
        "broken databases": refused,
        "H10: migrated or explained": bool(migrated)
        and bool(refused)
        and all(not each["lost"] for each in migrated.values())
        and all(not each["wrong"] for each in refused.values()),
    }


def _migrated(home: Path, schema: str) -> dict[str, Any]:
    data = home / "data"
    data.mkdir(parents=True)
    restore(schema, data)
    videos, jobs = rows(data, "videos"), rows(data, "encoder_jobs")
    alias = data / "encoders" / "aliases" / "policy"
    aliased = alias.read_text() if alias.is_file() else None
    with served(data, home) as server:
        lost = [*_lost(server, videos, jobs), *_repeated(server, videos, jobs)]
        if aliased is not None:
            found = call(server.url, "GET", "/v1/aliases/policy").json().get("encoder")
            if found is None or found not in aliased:
                lost.append(f"the alias points to {found}, not to {aliased}")
        ends = {name: wait_ended(server, name) for name in videos}
    for name, state in ends.items():
        # The fixtures' encoders are of another model: a video of one fails, and says so.
        if state["status"] == "failed" and state["error"]["code"] == "internal_error":
            lost.append(f"{name} failed: {state['error']}")
        if state["status"] == "failed" and videos[name]["encoder_id"] is None:
            lost.append(f"{name}, of the base, failed: {state['error']}")
    return {
        "videos": len(videos),
        "encoder jobs": len(jobs),
        "lost": lost,
        "ends": {name: state["status"] for name, state in ends.items()},
    }


def _lost(server: Served, videos: Mapping[str, Any], jobs: Mapping[str, Any]) -> Sequence[str]:
    """Return what a server does not show of an earlier version's records."""
    listed = call(server.url, "GET", "/v1/videos?limit=100").json()["data"]
    lost = [
        f"{name} is not listed" for name in videos if name not in {video["id"] for video in listed}
    ]
    for name, video in videos.items():
        state = call(server.url, "GET", f"/v1/videos/{name}").json()
        if video["status"] not in _PENDING and state.get("status") != video["status"]:
            lost.append(f"{name} was {video['status']}, and is {state}")
        if video["status"] == "completed":
            content = call(server.url, "GET", f"/v1/videos/{name}/content?variant=thumbnail")
            if content.status_code != 200 or not content.content:
                lost.append(f"{name} has no thumbnail: {content.status_code}")
    for name, job in jobs.items():
        state = call(server.url, "GET", f"/v1/encoders/{name}").json()
        if "status" not in state or job["status"] not in (*_PENDING, state["status"]):
            lost.append(f"encoder {name} was {job['status']}, and is {state}")
    return lost


def _repeated(server: Served, videos: Mapping[str, Any], jobs: Mapping[str, Any]) -> Sequence[str]:
    """Repeat the requests that had an Idempotency-Key; return those that made another job."""
    lost: list[str] = []
    for name, video in videos.items():
        if video["idempotency_key"]:
            headers = {"Idempotency-Key": video["idempotency_key"]}
            answer = call(server.url, "POST", "/v1/videos", VIDEO, headers=headers)
            if answer.json().get("id") != name:
                lost.append(f"the repeat of {name} gives {answer.text[:200]}")
    if "no-blip" in jobs:
        headers = {"Idempotency-Key": jobs["no-blip"]["idempotency_key"]}
        answer = call(server.url, "POST", "/v1/encoders", ENCODER, headers=headers)
        if answer.json().get("id") != "no-blip":
            lost.append(f"the repeat of no-blip gives {answer.text[:200]}")
    return lost


def _refused(home: Path, database: str, name: str) -> dict[str, Any]:
    data = home / "data"
    data.mkdir(parents=True)
    restore(SCHEMAS[-1], data)
    BREAKS[name](data / database)
    before = _content(data / database)
    server = Served(data, home)
    wrong: list[str] = []
    server.start()
    try:
        health = _health_of_failed(server)
        worker = server.worker()
        time.sleep(_STAYS_S)
        statuses = {
            path: call(server.url, "GET", path).status_code
            for path in ("/livez", "/readyz", "/v1/videos")
        }
        if health is None or statuses != {"/livez": 200, "/readyz": 503, "/v1/videos": 503}:
            wrong.append(f"{health}, {statuses}")
        if worker is None or server.worker() != worker:
            wrong.append("the worker was started again")
    finally:
        server.stop()
    log = server.log.read_text()
    said = [
        line["message"]
        for line in map(_parsed, log.splitlines())
        if line.get("level") == "ERROR" and database in line["message"]
    ]
    if len(said) != 1 or not any(word in said[0] for word in _REMEDIES) or "Traceback" in log:
        wrong.append(f"the log says {said}{' with a traceback' if 'Traceback' in log else ''}")
    if _content(data / database) != before:
        wrong.append("the file was changed")
    return {"said": [each.replace(str(data), "…") for each in said], "wrong": wrong}


def _health_of_failed(server: Served) -> str | None:
    """Return the answer of `/health` once loading has failed; None if it does not in time."""
    until = time.monotonic() + _ANSWERS_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):  # it does not listen yet
            text = call(server.url, "GET", "/health", timeout=5).text
            if "load_failed" in text:
                return text
        time.sleep(0.1)
    return None


def _parsed(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        return {}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
