"""The denoiser's share of the time while many pages are open, and while none is.

The server has one core and the browser the other, so that the browser takes no time of the
server's: a visitor's machine would not either.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from statistics import mean
from typing import Any

import psutil
from playwright.sync_api import Browser, expect

from benchmarks.results import ratio
from tests.server.help import Server

_VIEWS = ("try", "encoders", "policies", "gallery", "load")
_REQUEST = {"prompt": "pogo in a meadow", "steps": 12}
_WAITING = 8
_GOAL = 0.02


def open_pages(
    server: Server, browser: Browser, pages: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Measure the denoiser's share of the time, in turn without pages and with them.

    The pages are of all views, each in a context of its own: it has its own connections, as another
    visitor's browser would.

    Args:
        server: The server.
        browser: The browser.
        pages: Pages that are open at the same time.
        seconds: Seconds of a measurement.
        rounds: Measurements without pages, and as many with them.
    """
    _pin()
    without: list[float] = []
    with_pages: list[float] = []
    for number in range(rounds):
        without.append(_share(server, seconds))
        with ExitStack() as stack:
            for index in range(pages):
                context = stack.enter_context(browser.new_context())
                page = context.new_page()
                page.goto(f"{server.url}/#/{_VIEWS[index % len(_VIEWS)]}")
                expect(page.locator("main h1")).to_be_visible(timeout=60_000)
            with_pages.append(_share(server, seconds))
        print(
            f"round {number + 1}: {without[-1]:.4f} without, {with_pages[-1]:.4f} with", flush=True
        )
    moved = [one - other for one, other in zip(with_pages, without, strict=True)]
    return {
        "pages": pages,
        "denoiser's share without pages": ratio(without),
        "denoiser's share with pages": ratio(with_pages),
        "moved by": ratio(moved),
        "goal: moved by at most": _GOAL,
        "met": abs(mean(moved)) <= _GOAL,
    }


def _share(server: Server, seconds: float) -> float:
    """Return seconds in the denoiser of a second, while videos wait all the time."""
    _fill(server)
    began, before = time.perf_counter(), _denoised(server)
    until = began + seconds
    while time.perf_counter() < until:
        time.sleep(0.5)
        _fill(server)
    return (_denoised(server) - before) / (time.perf_counter() - began)


def _fill(server: Server) -> None:
    """Have some videos wait."""
    pending = server.client.get("/v1/load").json()["pending"]
    waiting = sum(one["queued"] for one in pending if one["kind"] == "video")
    for _ in range(_WAITING - waiting):
        server.client.post("/v1/videos", json=_REQUEST).raise_for_status()


def _denoised(server: Server) -> float:
    return float(server.client.get("/v1/load").json()["device"]["denoise_seconds"])


def _pin() -> None:
    """Give the server, which this process has started, one core, and all else the other."""
    here = psutil.Process()
    _keep_to(here, 1)
    for child in here.children():
        core = 0 if "bentoml" in child.cmdline() else 1
        for one in (child, *child.children(recursive=True)):
            _keep_to(one, core)


def _keep_to(process: psutil.Process, core: int) -> None:
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {core})
