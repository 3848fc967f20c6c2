"""H8: no request and no thousand connections stop the server for the others."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.faults.bodies import BODIES
from benchmarks.faults.keys import write_keys
from benchmarks.faults.served import Served, asked, call, resident_mib, served, wait_ended
from benchmarks.faults.watch import OTHER, Watch, get, watching

LIVE_S = 1.0
"""Seconds within which `/livez` has to answer."""
SLOWER = 2.0
"""Times their usual time that other keys' requests may take."""
FOLLOWERS = "event streams"
_MIB = 1 << 20
_LONG = {"prompt": "a teapot", "steps": 100, "frames": 8}


def crowding(work: Path, connections: int) -> dict[str, Any]:
    """Crowd a server in every way, and measure what others see meanwhile.

    Args:
        work: the folder for data and logs.
        connections: connections of each kind of idle ones, and followers of one job's events.
    """
    home = work / "crowding"
    home.mkdir(parents=True, exist_ok=True)
    keys = write_keys(
        home / "keys.json", boss={"role": "admin"}, greedy={"role": "admin"}, modest={}
    )
    found: dict[str, Any] = {}
    with served(home / "data", home, keys_file=keys) as server:
        usual, busy = _usual(server), _usual_while_making(server)
        before = resident_mib(_worker(server))
        for name, prepare in _attacks(server, connections).items():
            attack = prepare()
            with watching(server.url, _worker(server).pid) as watch:
                detail = attack()
            expected = busy if name == FOLLOWERS else usual
            found[name] = {**_judged(watch, expected, before), "detail": detail}
    with served(home / "data", home, descriptors=256, keys_file=keys) as server:
        accepted = call(
            server.url, "POST", "/v1/videos", {"prompt": "pogo", "steps": 8}, key="secret-modest"
        ).json()["id"]
        with watching(server.url, _worker(server).pid) as watch:
            detail = _idle(server, connections, b"")
        state = wait_ended(server, accepted, "modest")["status"]
        judged = _judged(watch, busy, before)
        found["idle connections, 256 descriptors"] = {
            **judged,
            "detail": detail,
            "the job accepted before": state,
            "holds": judged["holds"] and state == "completed",
        }
    return {
        "a request of another key, usually (s)": round(usual, 3),
        "the same while a clip is made (s)": round(busy, 3),
        **found,
        "H8: nobody is stopped": all(each["holds"] for each in found.values()),
    }


def _attacks(server: Served, connections: int) -> Mapping[str, Callable[[], Callable[[], str]]]:
    """Return functions by name, each of which prepares an attack: bodies take long to make."""
    bodies = {
        f"body: {name}": lambda body=body: partial(
            body.send, server.url, "secret-greedy", body.make()
        )
        for name, body in BODIES.items()
    }
    half = {
        "connections that send nothing": b"",
        "half a header": b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
        "half a chunked body": b"POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "half a body": b"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Authorization: Bearer secret-greedy\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{",
        "31 of 32 MiB, without a key": b"POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Length: 33554432\r\n\r\n" + b"a" * (31 * _MIB),
    }
    idle = {
        name: lambda raw=raw: partial(_idle, server, 100 if len(raw) > _MIB else connections, raw)
        for name, raw in half.items()
    }
    return {
        **bodies,
        **idle,
        "event streams": lambda: partial(_followers, server, connections // 2),
    }


def _idle(server: Served, count: int, raw: bytes) -> str:
    """Open connections that send `raw` and then nothing; return what became of them."""
    opened: list[socket.socket] = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            opened.append(one)
            one.sendall(raw)
    time.sleep(20)
    alive = sum(map(_is_open, opened))
    for one in opened:
        one.close()
    return f"{len(opened)} opened, {alive} open after 20 s"


def _followers(server: Served, count: int) -> str:
    """Follow one video's events many times; return how many were told of its end."""
    video = call(
        server.url,
        "POST",
        "/v1/videos",
        _LONG,
        key="secret-greedy",
    ).json()["id"]
    opened: list[socket.socket] = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        one.sendall(
            f"GET /v1/videos/{video}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Authorization: Bearer secret-greedy\r\n\r\n".encode()
        )
        opened.append(one)
    time.sleep(15)
    call(server.url, "DELETE", f"/v1/videos/{video}", key="secret-greedy")
    time.sleep(3)
    answers = [_received(one) for one in opened]
    followed = sum(b"text/event-stream" in answer for answer in answers)
    told = sum(b"event: deleted" in answer for answer in answers)
    refused = sum(answer.startswith(b"HTTP/1.1 429") for answer in answers)
    return f"{followed} followed, {told} told of the deletion, {refused} refused with 429"


def _judged(watch: Watch, usual: float, before: int) -> dict[str, Any]:
    others = median(watch.other_s)
    return {
        "livez, longest (s)": round(max(watch.live_s), 3),
        "another key's request, median ÷ usual": round(others / usual, 2),
        "memory (MiB)": f"{before} → {watch.peak_mib}",
        "failed": watch.failed[:3],
        # A request of a few milliseconds is not held to twice its time, but to 20 ms.
        "holds": max(watch.live_s) <= LIVE_S
        and others <= max(SLOWER * usual, 0.02)
        and not watch.failed
        and watch.peak_mib - before <= 512,
    }


def _usual(server: Served) -> float:
    seconds: list[float] = []
    for _ in range(50):
        began = perf_counter()
        get(server.url, OTHER)
        seconds.append(perf_counter() - began)
    return median(seconds)


def _usual_while_making(server: Served) -> float:
    """Return the seconds of a request while the processor makes a clip; nobody crowds it."""
    video = asked(server, "POST", "/v1/videos", "greedy", _LONG).json()["id"]
    while asked(server, "GET", f"/v1/videos/{video}", "greedy").json()["status"] == "queued":
        time.sleep(0.05)
    usual = _usual(server)
    asked(server, "DELETE", f"/v1/videos/{video}", "greedy")
    return usual


def _worker(server: Served) -> Any:
    worker = server.worker()
    if worker is None:
        raise RuntimeError("the server has no worker")
    return worker


def _is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while received := one.recv(65536):
            del received  # an answer, such as 408, before the end
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def _received(one: socket.socket) -> bytes:
    one.settimeout(2)
    answer = b""
    with contextlib.suppress(OSError):
        while received := one.recv(65536):
            answer += received
            if b"event: deleted" in answer or answer.startswith(b"HTTP/1.1 4"):
                break
    one.close()
    return answer
