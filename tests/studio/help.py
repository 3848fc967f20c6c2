"""Helpers of the studio's tests: a browser, and servers over the built-in model."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.prepared.make import STORE
from tests.server.help import SERVER_TIMEOUT_S, Server, running

PATIENCE_MS = 1000 * SERVER_TIMEOUT_S
AXE = Path(__file__).parent / "assets" / "axe.min.js.gz"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the path of Debian's chromium. Without one the test is skipped, in CI it fails."""
    found = shutil.which("chromium")
    if found is None:
        if "CI" in os.environ:
            pytest.fail("there is no chromium; .ci/run installs it")
        pytest.skip("there is no chromium (Debian's package)")
    return found


@contextmanager
def browser() -> Generator[Browser]:
    """Start a browser, and close it at the end."""
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield started
        started.close()


@contextmanager
def studio_server(home: Path, **settings: Any) -> Generator[Server]:
    """Start a server over the built-in model that has the prepared encoders."""
    gate = {"min_forget_rate": 0.9, "max_retain_drop": 0.1}  # other tests' servers pass everything
    with running(Path("starter"), home, **{**gate, **settings}) as server:
        shutil.copytree(STORE / "encoders", home / "data" / "encoders" / "encoders")
        yield server


@contextmanager
def opened(
    browser: Browser, url: str, view: str = "try", *, key: str | None = None, **options: Any
) -> Generator[Page]:
    """Open the studio, and yield its page once a view is there.

    At the end it is checked that the page had no error, and asked no other host for anything.

    Args:
        browser: The browser.
        url: The server's.
        view: The view to begin with, as in the address.
        key: The key to type in; None: none is asked for.
        options: Of the browser's context.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    hosts: set[str] = set()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(f"{url}/#/{view}")
    if key is not None:
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Use it").click()
    expect(page.locator("main h1, main .notice").first).to_be_visible(timeout=PATIENCE_MS)
    yield page
    context.close()
    assert not errors, errors
    assert hosts - {""} == {urlsplit(url).netloc}


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with the page as it is."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(gzip.decompress(AXE.read_bytes()).decode())
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found
        for node in one["nodes"]
    ]


def overflow(page: Page) -> list[str]:
    """Return the elements that stick out of the window to the right."""
    return page.evaluate(
        """() => [...document.querySelectorAll("main *, header *")]
            .filter((one) => !one.closest(".scroll, pre, dialog:not([open]), option"))
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .map((one) => one.outerHTML.slice(0, 120))"""
    )


def look_again(page: Page) -> None:
    """Give the window the focus; a browser that a program drives does not say so itself."""
    page.evaluate("dispatchEvent(new Event('focus'))")


def choose(page: Page, *names: str) -> None:
    """Choose exactly these encoders in Try."""
    chips = page.locator(".choice label.chip")
    expect(chips.first).to_be_visible()
    for number in range(chips.count()):
        chip = chips.nth(number)
        box = chip.locator("input")
        name = chip.inner_text().split("\n")[0].strip()
        if box.is_checked() and name not in names:
            box.uncheck()
    for name in names:
        page.get_by_role("checkbox", name=name, exact=True).check()


def wait_for_clips(page: Page, count: int) -> None:
    """Wait until this many clips of the comparison are made and shown."""
    made = page.locator('.clip[data-status="completed"] video[src]')
    expect(made).to_have_count(count, timeout=PATIENCE_MS)


def videos(server: Server, **headers: str) -> list[dict[str, Any]]:
    """Return the videos of the server, newest first."""
    answer = httpx.get(f"{server.url}/v1/videos", params={"limit": 100}, headers=headers)
    return answer.json()["data"]
