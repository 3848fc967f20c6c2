"""The fault benchmark: what it sends is hostile, and what goes wrong is counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
from safetensors.torch import save
from torch import ones

from benchmarks.faults import hostile_files
from benchmarks.faults.bodies import BODIES
from benchmarks.faults.earlier_data import SCHEMAS, restore, rows
from benchmarks.faults.ledger import Ledger
from benchmarks.faults.parts import COARSE, PARTS
from benchmarks.faults.spellings import WAYS, carrying, spellings
from benchmarks.faults.strange_requests import StrangeRequests

DOCUMENT = {"paths": {"/v1/videos/{video_id}": {"get": {}, "delete": {}}}}


def test_strange_requests_are_many_and_the_same_for_a_seed() -> None:
    first, again, other = (StrangeRequests(seed, DOCUMENT) for seed in (1, 1, 2))
    drawn = [first.draw() for _ in range(300)]
    assert drawn == [again.draw() for _ in range(300)]
    assert drawn != [other.draw() for _ in range(300)]
    assert len(set(drawn)) > 280
    assert {"GET", "POST", "DELETE"} < {request.method for request in drawn}
    assert not any("{" in request.target for request in drawn)
    for request in drawn:
        head, _, body = request.raw("127.0.0.1").partition(b"\r\n\r\n")
        assert body == request.body
        if body:
            assert b"Content-Length: %d" % len(body) in head
    broken = {first.draw_broken_http("127.0.0.1") for _ in range(200)}
    assert len(broken) > 150


def test_every_way_carries_the_spelling() -> None:
    own, model = "random-0", "starter"
    names = spellings("random-1", own, model)
    assert len(names) >= 50
    assert own not in names
    for way in WAYS:
        for name in names:
            request = carrying("/v1/videos", way, (model, own, name), {"prompt": "a"})
            [(_, kind)] = request.headers
            if kind.startswith("multipart"):
                head = f"Content-Type: {kind}\r\n\r\n".encode()
                parts = message_from_bytes(head + request.body).get_payload()
                assert isinstance(parts, list)
                assert len(parts) > 1
            elif kind == "application/json":
                text = request.body.decode() + request.target
                assert json.loads(request.body)["prompt"] == "a"
                assert "ncoder" in text or "model" in text
            else:
                fields = parse_qsl(request.body.decode(), keep_blank_values=True)
                assert ("encoder", name) in fields


def test_hostile_files_differ_from_the_real_one(tmp_path: Path) -> None:
    data = save({"a": ones(40, 40)})
    card = json.dumps({"id": "a", "seed": 1, "digest": "d", "base": "b", "stored": "s"}).encode()
    for real, changes in (
        (data, hostile_files.overrides(tmp_path / "ran", 0)),
        (card, hostile_files.cards()),
    ):
        made = {name: change(real) for name, change in changes.items() if "bomb" not in name}
        assert len(made) > 10
        assert real not in made.values()
    assert not (tmp_path / "ran").exists()
    pictures = hostile_files.pictures(0, 3)
    assert len(pictures) > 30
    assert max(map(len, pictures.values())) < 2 << 20


def test_large_bodies_are_large() -> None:
    for name in ("deep lists", "pairs", "many parts"):
        assert 20 << 20 < len(BODIES[name].make()) < 33 << 20, name


def test_earlier_data_is_there(tmp_path: Path) -> None:
    assert len(SCHEMAS) >= 9
    data = restore(SCHEMAS[0], tmp_path)
    assert rows(data, "videos")


class Forgetful(BaseHTTPRequestHandler):
    """A server that fails one video, lists one twice, cuts one, forgets one, and has one more."""

    accepted = iter(("kept", "failed", "twice", "cut", "lost"))
    listed = ("kept", "failed", "twice", "twice", "cut", "strange")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {"id": next(self.accepted)})

    def do_GET(self) -> None:
        name, _, content = self.path.removeprefix("/v1/videos").strip("/").partition("/")
        if content:
            self.send(200, b"" if name == "cut" else b"\0\0\0 ftyp")
        elif name == "lost":
            self.answer(404, {"error": {"code": "video_not_found"}})
        elif name.startswith("?"):
            self.answer(200, {"data": [{"id": one} for one in self.listed], "has_more": False})
        else:
            failed = name == "failed"
            error = {"code": "internal_error"} if failed else None
            self.answer(200, {"status": "failed" if failed else "completed", "error": error})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        self.send(status, json.dumps(content).encode())

    def send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Forgetful)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_the_ledger_notices_what_is_lost(url: str) -> None:
    ledger = Ledger(url)
    for seed in range(5):
        ledger.video(Event(), seed=seed)
    outcome = ledger.outcome()
    assert outcome["accepted"] == 5
    assert outcome["failed"] == {"/v1/videos/failed": "internal_error"}
    assert outcome["unknown to the server"] == 1
    assert outcome["listed twice"] == ["twice"]
    assert outcome["listed but never accepted"] == ["strange"]
    assert outcome["content missing or cut"] == ["/v1/videos/cut"]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["malformed", "kills"])  # the others take too long for a test
def test_a_part_finds_that_its_goal_is_met(part: str, tmp_path: Path) -> None:
    found = PARTS[part](tmp_path, COARSE)
    [verdict] = [value for name, value in found.items() if re.match(r"H\d", name)]
    assert verdict, found
