"""Pictures of the studio's views, for the documentation."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

_VIEWS = ("encoders", "gallery", "load", "key")
"""Views that need nothing done on them; the tasks take pictures of the others."""
_SETTLED_MS = 1_500
_QUALITY = 82


class Pictures:
    """Pictures of pages, as WebP: a fraction of a PNG's bytes.

    Args:
        folder: Where they are written: `studio-<name>.webp`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, page: Page, name: str, *, whole: bool = False) -> None:
        """Write a picture of what the window shows, or of the whole page, once it moves no more."""
        page.wait_for_timeout(_SETTLED_MS)
        shot = Image.open(BytesIO(page.screenshot(animations="disabled", full_page=whole)))
        shot.convert("RGB").save(self._folder / f"studio-{name}.webp", quality=_QUALITY, method=6)

    def of_views(self, browser: Browser, url: str) -> None:
        """Take a picture of each view that the tasks leave out, and of one view in the dark."""
        with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
            page = context.new_page()
            for view in _VIEWS:
                page.goto(f"{url}/#/{view}")
                expect(page.locator("main h1")).to_be_visible()
                self.take(page, view)
            page.emulate_media(color_scheme="dark")
            page.goto(f"{url}/#/encoders")
            self.take(page, "dark")
