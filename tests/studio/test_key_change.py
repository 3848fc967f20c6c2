"""Another key in the studio: nothing of the earlier one stays, and none locks the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.server.help import Server, bearer
from tests.studio.help import PATIENCE_MS, choose, opened, wait_for_clips

BOSS, DEPUTY = "secret-boss", "secret-deputy"
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "studio-try.webp"


def begin_work(page: Page) -> None:
    """Type in, choose and make what belongs to the key in use."""
    page.get_by_label("Prompt", exact=True).fill("a boss at sunset")
    choose(page, "no-pogo")
    page.get_by_role("button", name="Make the clip").click()
    expect(page.locator(".clip")).to_have_count(1)
    page.get_by_role("link", name="Forget").click()
    page.get_by_label("What", exact=True).fill("a secret")
    page.get_by_label("Drop pictures here").set_input_files(PICTURE)
    expect(page.locator(".thumbs li")).to_have_count(1)


def use(page: Page, key: str) -> None:
    """Type in a key."""
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()


def assert_nothing_is_left(page: Page) -> None:
    """Check that no view shows what `begin_work` has made."""
    expect(page.get_by_role("link", name="Key: deputy")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Forget").click()
    expect(page.get_by_label("What", exact=True)).to_have_value("")
    assert page.locator(".thumbs li").count() == 0
    page.get_by_role("link", name="Try").click()
    expect(page.get_by_label("Prompt", exact=True)).not_to_have_value("a boss at sunset")
    assert page.locator(".clip").count() == 0


def test_another_key_finds_nothing_of_the_earlier_one(browser: Browser, stocked: Server) -> None:
    with opened(browser, stocked.url, key=BOSS) as page:
        expect(page.get_by_role("link", name="Key: boss")).to_be_visible(timeout=PATIENCE_MS)
        begin_work(page)
        page.get_by_role("link", name="Key: boss").click()
        page.get_by_role("button", name="Use another key").click()
        use(page, DEPUTY)
        assert_nothing_is_left(page)


def test_a_reload_keeps_what_is_tried_for_this_key_alone(browser: Browser, stocked: Server) -> None:
    with opened(browser, stocked.url, key=BOSS) as page:
        prompt = page.get_by_label("Prompt", exact=True)
        seed = page.get_by_label("Seed", exact=True)
        prompt.fill("a boss at sunset")
        seed.fill("7")
        choose(page, "base", "no-pogo")
        page.get_by_role("button", name="Make 2 clips").click()
        wait_for_clips(page, 2)
        page.reload()
        wait_for_clips(page, 2)
        expect(prompt).to_have_value("a boss at sunset")
        expect(seed).to_have_value("7")
        assert page.locator(".choice :checked").count() == 2
        [of_encoder] = [
            one["id"]
            for one in stocked.client.get("/v1/videos").json()["data"][:2]
            if one["model"] == "starter:no-pogo"
        ]
        stocked.client.delete(f"/v1/videos/{of_encoder}").raise_for_status()
        page.reload()
        wait_for_clips(page, 1)
        assert page.locator(".clip").get_attribute("data-encoder") == "base"
        page.get_by_role("link", name="Key: boss").click()
        page.get_by_role("button", name="Use another key").click()
        use(page, DEPUTY)
        assert_nothing_is_left(page)
        page.reload()
        assert_nothing_is_left(page)
        kept = page.evaluate("JSON.stringify(sessionStorage)")
        assert BOSS not in kept
        assert "sunset" not in kept


def test_a_key_that_is_refused_leaves_nothing(browser: Browser, stocked: Server) -> None:
    with opened(browser, stocked.url, key=BOSS) as page:
        expect(page.get_by_role("link", name="Key: boss")).to_be_visible(timeout=PATIENCE_MS)
        begin_work(page)
        page.evaluate("sessionStorage.setItem('palimpsest.key', 'revoked')")
        page.get_by_role("link", name="Gallery").click()
        use(page, DEPUTY)
        assert_nothing_is_left(page)


def test_an_answer_to_the_earlier_key_is_not_shown(browser: Browser, stocked: Server) -> None:
    with opened(browser, stocked.url, key=BOSS) as page:
        held: list[Route] = []
        expect(page.get_by_role("link", name="Key: boss")).to_be_visible(timeout=PATIENCE_MS)
        choose(page, "no-pogo")
        page.route("**/v1/videos", lambda route: held.append(route), times=1)
        page.get_by_role("button", name="Make the clip").click()
        page.get_by_role("link", name="Key: boss").click()
        page.get_by_role("button", name="Use another key").click()
        use(page, DEPUTY)
        expect(page.get_by_role("link", name="Key: deputy")).to_be_visible(timeout=PATIENCE_MS)
        with page.expect_response("**/v1/videos"):
            held[0].continue_()
        assert_nothing_is_left(page)


@pytest.mark.parametrize(
    ("key", "is_sent"),
    [
        ("“secret-boss”", False),
        ("🔑", False),
        ("x" * 400_000, False),
        ("clé", True),
        ("x" * 4000, True),
    ],
    ids=["quotes", "emoji", "huge", "latin", "long"],
)
def test_a_key_that_no_server_can_know_is_refused(
    browser: Browser, stocked: Server, key: str, is_sent: bool
) -> None:
    with opened(browser, stocked.url, key=key) as page:
        expect(page.get_by_role("alert")).to_contain_text("This key is not known here.")
        kept = page.evaluate("sessionStorage.getItem('palimpsest.key')")
        assert kept == (key if is_sent else None)
        use(page, BOSS)
        expect(page.get_by_role("link", name="Key: boss")).to_be_visible(timeout=PATIENCE_MS)


def test_the_count_of_videos_is_of_this_key(browser: Browser, stocked: Server) -> None:
    for video in stocked.client.get("/v1/videos", headers=bearer(DEPUTY)).json()["data"]:
        stocked.client.delete(f"/v1/videos/{video['id']}", headers=bearer(DEPUTY))
    made = stocked.client.post("/v1/videos", json={"prompt": "a star"}, headers=bearer(DEPUTY))
    made.raise_for_status()
    with opened(browser, stocked.url, "gallery", key=DEPUTY) as page:
        expect(page.locator("main .lead")).to_have_text("1 video of this key")
