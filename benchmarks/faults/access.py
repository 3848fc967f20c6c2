"""H6: no key reaches an encoder that is not its own, by any route and in any spelling.

What was really used is read from the delivered mp4, and compared with the stored record.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks.faults.keys import write_keys
from benchmarks.faults.malformed import fault_of
from benchmarks.faults.served import Served, asked, call, patient, served, wait_ended
from benchmarks.faults.spellings import WAYS, carrying, spellings
from benchmarks.harness import WEIGHTS
from benchmarks.serving.encoders import name_of, publish
from benchmarks.serving.servers import ROOT
from video import clip, load_text_encoder

OWN, OTHER = name_of(0), name_of(1)
ALIAS, OTHER_ALIAS = "acme-policy", "other-policy"
_DOOMED = 3
_CLIP = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1}
_LONG = {"prompt": "a teapot", "steps": 100, "frames": 16}
_POSTS = ("/v1/videos", "/v1/videos/sync", "/generate")
_PUBLIC = {"/", "/livez", "/readyz", "/healthz", "/health", "/docs", "/openapi.json"}


@dataclass
class Tally:
    """Answers by status, what was accepted, and what is wrong."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    accepted: int = 0
    """Requests whose clip was made, by the caller's own encoder."""
    wrong: list[str] = field(default_factory=list[str])


def access(work: Path, count: int) -> dict[str, Any]:
    """Ask a server with keys for what they may not use.

    Args:
        work: the folder for data and logs.
        count: spellings of each name.
    """
    data = work / "data"
    doomed = [name_of(2 + number) for number in range(_DOOMED)]
    store = publish(load_text_encoder(WEIGHTS), data / "encoders", 2 + _DOOMED)
    digests = {card.id: card.digest for card in store.cards()}
    keys = write_keys(
        work / "keys.json",
        boss={"role": "admin"},
        byalias={"encoders": [ALIAS]},
        byid={"encoders": [OWN]},
        other={"encoders": [OTHER]},
        doomed={"encoders": doomed},
        expired={"role": "admin", "expires_at": int(time.time()) - 60},
    )
    with served(data, work, keys_file=keys) as server:
        for alias, encoder in ((ALIAS, OWN), (OTHER_ALIAS, OTHER)):
            asked(server, "PUT", f"/v1/aliases/{alias}", "boss", {"encoder": encoder})
        others = asked(server, "POST", "/v1/videos", "other", _CLIP).json()["id"]
        parts = {
            "without a valid key": _unknown(server, data),
            "posts in every spelling": _posts(server, data, digests, count),
            "reads in every spelling": _reads(server, digests, count),
            "another key's video": _others(server, others),
            "an encoder deleted meanwhile": _deleted(server, doomed),
        }
    wrong = [f"{name}: {each}" for name, part in parts.items() for each in part.wrong]
    return {
        **{name: dict(sorted(part.statuses.items())) for name, part in parts.items()},
        "clips made, each by the key's own encoder": sum(part.accepted for part in parts.values()),
        "requests": sum(part.statuses.total() for part in parts.values()),
        "wrong": len(wrong),
        "the first of them": wrong[:20],
        "H6: nobody gets what is not theirs": not wrong
        and all(part.statuses.total() > 0 for part in parts.values())
        and parts["posts in every spelling"].accepted > 0,
    }


def _unknown(server: Served, data: Path) -> Tally:
    """Ask every route without a key, and with ones that are wrong, revoked or expired."""
    tally = Tally()
    revoked = _revoked(data)
    document = call(server.url, "GET", "/openapi.json").json()
    sent = (
        *("", "Bearer", "Bearer wrong", "Basic c2VjcmV0LWJvc3M=", "secret-boss"),
        *(
            "Bearer secret-expired",
            f"Bearer {revoked}",
            "Bearer secret-boss\t.",
            "Token secret-boss",
        ),
        *("Bearer secret-bos", "Bearer secret-bossx", "Bearer SECRET-BOSS", "Bearer *"),
    )
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for path, item in document["paths"].items():
            if path in _PUBLIC:
                continue
            filled = _filled(path, OWN)
            for method in [*item, "options"]:
                for value in (None, *sent):
                    headers = {} if value is None else {"Authorization": value}
                    answer = client.request(method.upper(), filled, headers=headers)
                    tally.statuses[answer.status_code] += 1
                    if answer.status_code != 401 or fault_of(method, 401, answer.content):
                        tally.wrong.append(f"{method} {filled} {value!r}: {answer.status_code}")
            answer = client.get(filled, params={"key": "secret-boss", "api_key": "secret-boss"})
            tally.statuses[answer.status_code] += 1
            if answer.status_code != 401:
                tally.wrong.append(f"key in the query of {filled}: {answer.status_code}")
    return tally


def _revoked(data: Path) -> str:
    """Make a key on the command line, see it work nowhere once it is revoked; return its secret."""

    def keys(*arguments: str) -> str:
        command = [sys.executable, "-m", "cli", "keys", *arguments, "--data-dir", str(data)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return done.stdout

    secret = json.loads(keys("create", "gone", "--role", "admin", "--json"))["secret"]
    keys("revoke", "gone")
    time.sleep(3)  # the server notices within two seconds
    return secret


def _posts(server: Served, data: Path, digests: dict[str, str], count: int) -> Tally:
    """Ask each route that makes a clip for the base and for another's encoder."""
    tally = Tally()
    model = asked(server, "GET", "/v1/models", "byid").json()["data"][0]["id"].partition(":")[0]
    pending: list[tuple[str, str, str]] = []
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for key, own in (("byalias", ALIAS), ("byid", OWN)):
            for name in ("base", OTHER, OTHER_ALIAS):
                for spelling in spellings(name, own, model)[:count]:
                    for number, way in enumerate(WAYS):
                        # Every spelling in every way on the first, and each on some of the others.
                        route = 0 if number % 3 else 1 + number // 3 % 2
                        request = carrying(_POSTS[route], way, (model, own, spelling), _CLIP)
                        told = f"{key} {_POSTS[route]} {way} {spelling!r}"
                        answer = patient(
                            lambda key=key, request=request: client.request(
                                **_with_key(request.arguments(), key)
                            )
                        )
                        tally.statuses[answer.status_code] += 1
                        wrong = fault_of("POST", answer.status_code, answer.content)
                        if wrong is not None:
                            tally.wrong.append(f"{told}: {wrong}")
                        elif not answer.is_success:
                            continue
                        elif route == 0:
                            pending.append((told, key, answer.json()["id"]))
                        else:
                            video = clip.read_provenance(answer.content)["id"]
                            tally.wrong += _another(told, answer.content, video, data, digests)
                            tally.accepted += 1
        for told, key, video in pending:
            wait_ended(server, video, key)
            content = asked(server, "GET", f"/v1/videos/{video}/content", key).content
            tally.wrong += _another(told, content, video, data, digests)
            tally.accepted += 1
    return tally


def _another(
    told: str, content: bytes, video: str, data: Path, digests: dict[str, str]
) -> Sequence[str]:
    """Return what is wrong with a clip that was made: nothing if the key's own encoder made it."""
    try:
        made_by = clip.read_provenance(content)["encoder_identity"]
    except clip.ClipInvalid as error:
        return [f"{told}: {error}"]
    with closing(sqlite3.connect(data / "records.sqlite", timeout=60)) as records:
        row = records.execute(
            "SELECT encoder_id, encoder_digest FROM videos WHERE id = ?", (video,)
        ).fetchone()
    if made_by == digests[OWN] and row == (OWN, digests[OWN]):
        return []
    return [f"{told}: made by {made_by}, recorded as {row}"]


def _reads(server: Served, digests: dict[str, str], count: int) -> Tally:
    """Read everything of another's encoder and alias, by every path that takes a name."""
    tally = Tally()
    document = call(server.url, "GET", "/openapi.json").json()
    paths = [path for path, item in document["paths"].items() if "get" in item]
    model = asked(server, "GET", "/v1/models", "byid").json()["data"][0]["id"].partition(":")[0]
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for key, own in (("byalias", ALIAS), ("byid", OWN)):
            for name in (OTHER, OTHER_ALIAS):
                for spelling in spellings(name, own, model)[:count]:
                    for path in paths:
                        if path in _PUBLIC:
                            continue
                        url = _filled(path, _quoted(spelling))
                        sent = _with_key({"method": "GET", "url": url}, key)
                        answer = patient(lambda sent=sent: client.request(**sent))
                        tally.statuses[answer.status_code] += 1
                        wrong = fault_of("GET", answer.status_code, answer.content)
                        if digests[OTHER] in answer.text or (
                            answer.is_success and "{" in path and OTHER in answer.text
                        ):
                            wrong = f"{answer.status_code} shows the other's encoder"
                        if wrong is not None:
                            tally.wrong.append(f"{key} GET {url}: {wrong}")
    return tally


def _others(server: Served, video: str) -> Tally:
    """Read and delete another key's video, as each other key; an admin's may only erase it."""
    tally = Tally()
    for key in ("byalias", "byid", "doomed", "boss"):
        for method, path in (
            ("GET", ""),
            ("GET", "/content"),
            ("GET", "/content?variant=thumbnail"),
            ("GET", "/events"),
            ("DELETE", ""),
        ):
            answer = call(server.url, method, f"/v1/videos/{video}{path}", key=f"secret-{key}")
            tally.statuses[answer.status_code] += 1
            if answer.status_code != 404:
                tally.wrong.append(f"{key} {method} {path}: {answer.status_code}")
    wait_ended(server, video, "other")
    return tally


def _deleted(server: Served, doomed: Sequence[str]) -> Tally:
    """Delete encoders between a video's acceptance and its making: the video fails."""
    tally = Tally()
    for encoder in doomed:
        holders = [
            asked(server, "POST", "/v1/videos", "boss", _LONG).json()["id"] for _ in range(40)
        ]
        accepted = asked(server, "POST", "/v1/videos", "doomed", {**_CLIP, "encoder": encoder})
        video = accepted.json()["id"]
        asked(server, "DELETE", f"/v1/encoders/{encoder}", "boss")
        for holder in holders:
            call(server.url, "DELETE", f"/v1/videos/{holder}", key="secret-boss")
        state = wait_ended(server, video, "doomed")
        tally.statuses[accepted.status_code] += 1
        if state["status"] != "failed" or (state["error"] or {}).get("code") == "internal_error":
            tally.wrong.append(f"{encoder}: {state['status']} {state['error']}")
    return tally


def _with_key(request: dict[str, Any], key: str) -> dict[str, Any]:
    header = (b"Authorization", f"Bearer secret-{key}".encode())
    return {**request, "headers": [*request.get("headers", []), header]}


def _filled(path: str, name: str) -> str:
    return re.sub(r"\{\w+\}", lambda _: name, path)


def _quoted(spelling: str) -> str:
    """Encode a spelling as one part of a path; one that has percent signs stays as it is."""
    return spelling if "%" in spelling and " " not in spelling else quote(spelling, safe="")
