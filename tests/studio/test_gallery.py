"""The gallery: 200 videos, thumbnails that move, and where a file comes from."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.server.help import Server, wait_for
from tests.studio.help import PATIENCE_MS, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COUNT = 200
LONGEST_MS = 200


@pytest.fixture(scope="module")
def full(server: Server) -> Server:
    """Return the server once it has 200 videos."""
    body = {"steps": 1, "frames": 4, "size": "64x64"}
    for number in range(COUNT):
        encoder = "no-pogo" if number % 10 == 0 else "base"
        request = {**body, "prompt": f"a star number {number}", "encoder": encoder}
        last = server.client.post("/v1/videos", json=request)
        assert last.status_code == 200, last.text
    wait_for(server.client, f"/v1/videos/{last.json()['id']}")
    return server


def test_200_videos_scroll_without_a_long_task(browser: Browser, full: Server) -> None:
    with opened(browser, full.url, "gallery") as page:
        expect(page.locator(".item")).to_have_count(COUNT, timeout=PATIENCE_MS)
        page.evaluate(
            """() => {
                window.longest = 0;
                new PerformanceObserver((list) => {
                    for (const one of list.getEntries())
                        window.longest = Math.max(window.longest, one.duration);
                }).observe({ type: "longtask" });
            }"""
        )
        for _ in range(20):
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(60)
        assert page.evaluate("scrollY") > 1000
        assert page.evaluate("longest") <= LONGEST_MS


def test_a_thumbnail_plays_under_the_pointer_and_the_list_is_filtered(
    browser: Browser, full: Server
) -> None:
    with opened(browser, full.url, "gallery") as page:
        page.get_by_label("Find in prompts").fill("number 17")
        expect(page.locator(".item")).to_have_count(11)  # 17 and 170 to 179
        page.get_by_label("Encoder").select_option("starter:no-pogo")
        expect(page.locator(".item")).to_have_count(1)  # 170
        page.locator(".item .still").hover()
        expect(page.locator(".item .still")).to_have_attribute(
            "data-playing", "3", timeout=PATIENCE_MS
        )


def test_a_video_is_made_again_downloaded_verified_and_deleted(
    browser: Browser, full: Server
) -> None:
    with opened(browser, full.url, "gallery") as page:
        page.get_by_label("Find in prompts").fill("number 123")
        page.locator(".item .open").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        file = download.value.path()
        page.keyboard.press("Escape")
        page.get_by_label("Drop a clip").set_input_files(file)
        expect(page.locator(".verify")).to_contain_text("a key of this server", timeout=PATIENCE_MS)
        page.locator(".item .open").click()
        page.get_by_role("button", name="Make again with …").click()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a star number 123")
        page.get_by_role("link", name="Gallery").click()
        page.get_by_label("Find in prompts").fill("number 123")
        page.locator(".item .open").click()
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete").click()
        expect(page.locator(".item")).to_have_count(0)
        listed = full.client.get("/v1/videos", params={"limit": 100}).json()["data"]
        assert not [one for one in listed if one["prompt"] == "a star number 123"]
