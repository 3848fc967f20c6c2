"""Keys in the studio: one is asked for, and a bound one never sees the base."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from playwright.sync_api import Browser, Response, expect

from tests.server.help import Server, bearer, write_keys
from tests.studio.help import PATIENCE_MS, choose, opened, studio_server, wait_for_clips

pytestmark = pytest.mark.slow

BOSS, TENANT = "secret-boss", "secret-tenant"
VIEWS = ("try", "encoders", "policies", "gallery", "key")


@pytest.fixture(scope="module")
def keyed(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Yield a server with an admin's key and one that is bound to no-pogo."""
    home = tmp_path_factory.mktemp("keyed")
    keys = write_keys(
        home / "keys.json",
        boss={"role": "admin"},
        tenant={"role": "user", "encoders": ["no-pogo"]},
    )
    with studio_server(home, keys_file=keys) as server:
        yield server


def test_a_wrong_key_is_refused_and_a_right_one_stays_in_the_tab(
    browser: Browser, keyed: Server
) -> None:
    with opened(browser, keyed.url, key="wrong") as page:
        expect(page.get_by_role("alert")).to_contain_text("key")
        page.get_by_label("Key", exact=True).fill(BOSS)
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("link", name="Key: boss")).to_be_visible()
        page.reload()
        expect(page.get_by_role("link", name="Key: boss")).to_be_visible()
        assert page.evaluate("localStorage.length") == 0
        assert BOSS not in page.url


def test_a_bound_key_never_sees_the_base(browser: Browser, keyed: Server) -> None:
    answered: list[tuple[str, int]] = []
    bodies: list[Any] = []

    def note(response: Response) -> None:
        if "/v1/" in response.url and "/events" not in response.url:
            answered.append((response.url, response.status))
            if response.headers.get("content-type", "").startswith("application/json"):
                bodies.append(response)

    with opened(browser, keyed.url, key=TENANT) as page:
        page.on("response", note)
        page.reload()
        expect(page.locator(".choice")).to_contain_text("no-pogo")
        assert page.locator(".choice .chip").count() == 1
        for hidden in ("Forget", "Load"):
            assert page.get_by_role("link", name=hidden).count() == 0
        choose(page, "no-pogo")
        page.get_by_role("button", name="Make the clip").click()
        wait_for_clips(page, 1)
        for view in VIEWS:
            page.goto(f"{keyed.url}/#/{view}")
            expect(page.locator("main h1")).to_be_visible()
            page.wait_for_timeout(500)
            if view != "key":
                assert "base" not in page.locator("main").inner_text().lower()
        expect(page.get_by_text("It never sees what the base draws")).to_be_visible()
        told = [response.json() for response in bodies]
    assert answered
    assert not [one for one in answered if one[1] >= 400]
    models = [one["id"] for body in told for one in body.get("data", []) if "root" in one]
    assert set(models) == {"starter:no-pogo"}
    videos = keyed.client.get("/v1/videos", headers=bearer(TENANT)).json()["data"]
    assert {video["model"] for video in videos} == {"starter:no-pogo"}


def test_an_admin_sees_the_load_and_who_waits(browser: Browser, keyed: Server) -> None:
    body = {"prompt": "a star", "steps": 100}
    for _ in range(8):
        keyed.client.post("/v1/videos", json=body, headers=bearer(TENANT))
    with opened(browser, keyed.url, "load", key=BOSS) as page:
        expect(page.locator("table").first).to_contain_text("tenant", timeout=PATIENCE_MS)
