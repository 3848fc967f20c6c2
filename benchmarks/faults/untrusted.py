"""H4: hostile files and ids are refused with a clear error, and nothing is written elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from benchmarks.faults import hostile_files
from benchmarks.faults.imports import imports
from benchmarks.faults.malformed import HANG_S, exchange, fault_of
from benchmarks.faults.refusals import Refusals, code_of
from benchmarks.faults.served import Served, call, patient, peak_mib, served
from benchmarks.faults.strange_requests import IDS, StrangeRequest
from benchmarks.harness import WEIGHTS
from benchmarks.serving.encoders import publish
from video import load_text_encoder

MEMORY_MIB = 512
"""MiB by which the server, or a command, may grow."""
_CLIP = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1}
_TRAVERSALS = (
    *("../outside", "../../outside", "..%2f..%2foutside", "%2e%2e%2f%2e%2e%2foutside"),
    *("..%5c..%5coutside", "%252e%252e%252foutside", "....//outside", "%c0%ae%c0%ae/outside"),
    *("%2fetc%2fpasswd", "/etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "..;/outside", "%00../x"),
    *("random-0%2f..%2f..%2foutside", "random-0%00", ".%00./outside", "~root", "%7e", "CON", "."),
)


def untrusted(work: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Send or place hostile files at every door, and look at what became of them.

    Args:
        work: the folder for data and logs.
        count: pictures of each format that are cut or changed, and a fifth as many encoders of the
            others' kinds at most.
        seed: seed of the cuts and changes.
    """
    # Deep, so that a path that leads out of it leads into the folder that is looked at.
    data, outside, mark = work / "a" / "b" / "data", work / "outside", work / "ran"
    data.mkdir(parents=True)
    outside.write_text("a secret of the machine, which no answer has")
    stored = _stored(data, outside, mark, seed)
    with served(data, work, issuer="bench") as server:
        call(server.url, "POST", "/v1/videos/sync", _CLIP).raise_for_status()
        worker = server.worker()
        if worker is None:
            raise RuntimeError("the server has no worker")
        before = _snapshot(work)
        usual = peak_mib(worker)
        doors = {
            "stored encoders": _ask_for(server, stored),
            "uploaded pictures": _pictures(server, hostile_files.pictures(seed, count)),
            "ids in addresses": _ids(server),
        }
        peak = peak_mib(worker)
        ready = call(server.url, "GET", "/readyz").status_code
        alive = server.worker() == worker
    doors["imported encoders"], imports_mib = imports(work, mark, seed, count)
    after = _snapshot(work)
    strange = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    wrong = [f"{name}: {each}" for name, door in doors.items() for each in door.wrong]
    return {
        **{name: dict(sorted(door.how.items())) for name, door in doors.items()},
        "inputs": sum(door.how.total() for door in doors.values()),
        "wrong": len(wrong),
        "the first of them": wrong[:20],
        "written outside the data directory": strange,
        "a pickle was run": mark.exists(),
        "the server's largest memory (MiB)": f"{usual} → {peak}",
        "an import's largest memory, over the plain one's (MiB)": imports_mib,
        "readyz afterwards": ready,
        "H4: refused, and nothing written elsewhere": not wrong
        and not strange
        and not mark.exists()
        and peak - usual <= MEMORY_MIB
        and imports_mib <= MEMORY_MIB
        and ready == 200
        and alive
        and all(door.how for door in doors.values()),
    }


def _stored(data: Path, outside: Path, mark: Path, seed: int) -> dict[str, str]:
    """Publish encoders, and spoil the files of each; return what was done to which."""
    changed = hostile_files.overrides(mark, seed)
    cards = hostile_files.cards()
    placed = hostile_files.places(outside)
    text_encoder = load_text_encoder(WEIGHTS)
    store = publish(
        text_encoder, data / "encoders", 1 + len(changed) + len(cards) + 2 * len(placed)
    )
    ids = iter([card.id for card in store.cards()][1:])
    done: dict[str, str] = {}
    for name, change in changed.items():
        encoder = next(ids)
        path = next((data / "encoders" / "encoders" / encoder).rglob("overrides.safetensors"))
        path.write_bytes(change(path.read_bytes()))
        done[encoder] = f"overrides: {name}"
    for name, change in cards.items():
        encoder = next(ids)
        path = data / "encoders" / "encoders" / encoder / "card.json"
        path.write_bytes(change(path.read_bytes()))
        done[encoder] = f"card: {name}"
    for file in ("overrides.safetensors", "card.json"):
        for name, place in placed.items():
            encoder = next(ids)
            path = next((data / "encoders" / "encoders" / encoder).rglob(file))
            path.unlink()
            place(path)
            done[encoder] = f"{file}: {name}"
    return done


def _ask_for(server: Served, stored: dict[str, str]) -> Refusals:
    """Ask for a clip by each spoilt encoder, for its card and report, and delete it."""
    door = Refusals()
    for encoder, done in stored.items():
        body = {**_CLIP, "encoder": encoder}
        for method, path, sent in (
            ("POST", "/v1/videos/sync", body),
            ("GET", f"/v1/encoders/{encoder}", None),
            ("GET", f"/v1/encoders/{encoder}/report", None),
            ("GET", "/v1/models", None),
            ("DELETE", f"/v1/encoders/{encoder}", None),
        ):
            began = perf_counter()
            answer = call(server.url, method, path, sent, timeout=120)
            wrong = fault_of(method, answer.status_code, answer.content)
            if wrong is None and method == "POST":
                door.how[f"{answer.status_code} {code_of(answer)}"] += 1
                if answer.is_success or code_of(answer) == "internal_error":
                    wrong = f"{answer.status_code} {code_of(answer)}"
            if wrong is None and perf_counter() - began > HANG_S:
                wrong = f"took {perf_counter() - began:.1f} s"
            if "secret of the machine" in answer.text:
                wrong = "shows a file outside"
            if wrong is not None:
                door.wrong.append(f"{done}, {method} {path}: {wrong}")
    return door


def _pictures(server: Served, pictures: Mapping[str, bytes]) -> Refusals:
    """Upload each picture. One that can be read, though it was changed, is taken and cancelled."""
    door = Refusals()
    form = {"concept": "pogo", "kind": "character", "settings[method]": "ascent"}
    for name, content in pictures.items():
        for filename in ("a.png", "../../../outside"):
            files = [("images[]", (filename, content, "image/png"))]
            began = perf_counter()
            answer = patient(
                lambda files=files: httpx.post(
                    f"{server.url}/v1/encoders", data=form, files=files, timeout=120
                )
            )
            door.how[f"{answer.status_code} {code_of(answer)}"] += 1
            wrong = fault_of("POST", answer.status_code, answer.content)
            if perf_counter() - began > HANG_S:
                wrong = f"took {perf_counter() - began:.1f} s"
            if answer.is_success:
                call(server.url, "DELETE", f"/v1/encoders/{answer.json()['id']}")
                if "flipped" not in name and "packed" not in name and "more" not in name:
                    wrong = "is taken"
            if wrong is not None:
                door.wrong.append(f"{name} as {filename}: {wrong}")
    return door


def _ids(server: Served) -> Refusals:
    """Send ids that are paths to every route that takes one."""
    door = Refusals()
    document = call(server.url, "GET", "/openapi.json").json()
    for path, item in document["paths"].items():
        before, brace, rest = path.partition("{")
        after = re.sub(r"[{}]", "", rest.partition("}")[2])
        for method, value in product(item, (*_TRAVERSALS, *IDS)) if brace else ():
            request = StrangeRequest(method.upper(), before + value + after, (), b"")
            status, wrong, body = exchange(server, request.method, request.raw(server.host))
            door.how[status] += 1
            if b"secret of the machine" in body or b"root:" in body:
                wrong = "shows a file outside"
            if wrong is not None:
                door.wrong.append(f"{method} {request.target}: {wrong}")
    return door


def _snapshot(work: Path) -> dict[str, str]:
    """Return a hash of every file of the folder that is not the server's to write."""
    own = (work / "a" / "b" / "data", work / "imported", work / "bentoml", work / "server.log")
    return {
        path.relative_to(work).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in work.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder) for folder in own)
    }
