"""Three tasks, done with what the page itself says: clicks, characters and seconds of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Self

from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.studio.pictures import Pictures

MADE = "no-pogo"
"""The encoder that the first task makes; the server must not have it yet."""
_HURRY_MS = 20_000
_MAKING_MS = 1_800_000


class NewcomerTask:
    """One task on a page of its own, with what it took so far.

    Args:
        browser: The browser.
        url: The server's address: the task begins at its front page.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._context = browser.new_context(viewport={"width": 1280, "height": 900})
        self._context.set_default_timeout(_HURRY_MS)
        self.page: Page = self._context.new_page()
        self._url = url
        self._clicks = self._typed = 0
        self._waited = 0.0
        self._began = self._ended = 0.0

    def __enter__(self) -> Self:
        self._began = perf_counter()
        self.page.goto(self._url)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = perf_counter()
        self._context.close()

    def click(self, role: Any, name: str) -> None:
        """Click what has this role and name."""
        self.click_on(self.page.get_by_role(role, name=name, exact=True))

    def click_on(self, place: Locator) -> None:
        """Click a place of the page."""
        place.click()
        self._clicks += 1

    def type(self, label: str, text: str) -> None:
        """Type a text into the field of this label, after a click into it."""
        field = self.page.get_by_label(label, exact=True)
        self.click_on(field)
        field.press_sequentially(text)
        self._typed += len(text)

    def wait(self, place: Locator, *, count: int | None = None) -> None:
        """Wait for the server, until something is shown, or is shown so many times."""
        began = perf_counter()
        if count is None:
            expect(place).to_be_visible(timeout=_MAKING_MS)
        else:
            expect(place).to_have_count(count, timeout=_MAKING_MS)
        self._waited += perf_counter() - began

    def wait_for_clips(self, count: int) -> None:
        """Wait until this many clips are made and shown."""
        self.wait(self.page.locator('.clip[data-status="completed"] video[src]'), count=count)

    def figures(self) -> dict[str, Any]:
        """Return clicks, typed characters, seconds, and seconds of them that the server worked."""
        return {
            "clicks": self._clicks,
            "characters typed": self._typed,
            "seconds": round(self._ended - self._began, 1),
            "of them waiting for the server": round(self._waited, 1),
        }


def forget_a_character(task: NewcomerTask, pictures: Pictures) -> None:
    """Have a character forgotten, and see that it is."""
    task.click("link", "Forget")
    task.click("button", "pogo")
    pictures.take(task.page, "forget")
    task.click("button", "Make it forget")
    task.wait(task.page.get_by_role("slider", name="Step of the preview"))
    task.wait(task.page.locator(".losses"))
    pictures.take(task.page, "making")
    task.wait(task.page.locator('[data-status="published"]'))
    task.wait(task.page.locator(".pair img, .pair video").first)
    pictures.take(task.page, "verdict")
    task.click("button", "Try it")
    task.click("button", "Make 2 clips")
    task.wait_for_clips(2)


def show_a_rights_holder(task: NewcomerTask, pictures: Pictures) -> None:
    """Show what it means that a character is forgotten: clips, one wiped over another, a report.

    The encoder is that of the task before.
    """
    task.click("link", "Encoders")
    card = task.page.locator(f'[data-encoder="{MADE}"]')
    task.click_on(card.get_by_role("button", name="Try", exact=True))
    task.click("button", "Make 2 clips")
    task.wait_for_clips(2)
    pictures.take(task.page, "try", whole=True)
    task.click_on(task.page.get_by_text("Wipe", exact=True))
    pictures.take(task.page, "wipe", whole=True)
    task.click("link", "Encoders")
    with task.page.context.expect_page() as opened:
        task.click_on(card.get_by_role("button", name="Report"))
    expect(opened.value.locator("h1").first).to_be_visible()


def give_a_tenant_a_policy(task: NewcomerTask, pictures: Pictures) -> None:
    """Give a tenant one name for two encoders, and see how its requests use it."""
    task.click("link", "Policies")
    task.click("button", "New policy")
    task.type("Name", "acme")
    for name in ("no-star", "no-suri"):
        task.click_on(task.page.locator(".edit label.chip").filter(has_text=name))
    task.click("button", "Switch to this set")
    task.wait(task.page.get_by_text("acme is switched to acme-1."))
    task.click_on(task.page.get_by_text("How a tenant uses it"))
    pictures.take(task.page, "policies")


TASKS: Mapping[str, Callable[[NewcomerTask, Pictures], None]] = {
    "have a character forgotten": forget_a_character,
    "show a rights holder what that means": show_a_rights_holder,
    "give a tenant a policy of two encoders": give_a_tenant_a_policy,
}
