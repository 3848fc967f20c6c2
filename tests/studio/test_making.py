"""Making encoders from the studio: to the end, failing, and as a set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from encoders import Concept, Encoder
from encoders.store import EncoderStore
from tests.server.help import Server
from tests.studio.help import PATIENCE_MS, choose, look_again, opened, violations, wait_for_clips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FEW = {"tier": "quick", "max_probes": 2}
"""A gate that is decided within seconds."""


def with_fields(page: Page, **fields: Any) -> None:
    """Add fields to requests for encoders that the page does not offer."""

    def add(route: Route) -> None:
        if route.request.method == "POST":
            body = {**(route.request.post_data_json or {}), **fields}
            route.continue_(post_data=json.dumps(body))
        else:
            route.continue_()

    page.route("**/v1/encoders", add)


def publish_without_effect(server: Server, encoder_id: str, concept: str) -> None:
    """Publish an encoder whose card says that it forgets a concept, which it does not."""
    store = EncoderStore(server.log.parent / "data" / "encoders")
    other = store.load("no-star")
    concepts = (Concept(name=concept, kind="character"),)
    card = other.card.model_copy(update={"id": encoder_id, "concepts": concepts})
    store.publish(Encoder(card, other.overrides))


def test_an_encoder_is_made_and_watched_until_it_is_published(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.url, "forget") as page:
        page.get_by_role("button", name="teapot").count()
        page.get_by_label("Kind").select_option("object")
        page.get_by_role("button", name="teapot").click()
        page.get_by_label("A look").check()
        page.get_by_label("Name of the encoder").fill("no-teapot")
        page.get_by_role("button", name="Make it forget").click()
        expect(page.get_by_role("heading", name="Forgetting teapot")).to_be_visible()
        expect(page.locator(".fading img")).to_be_visible(timeout=PATIENCE_MS)
        first = page.locator(".fading img").get_attribute("src")
        expect(page.locator(".losses")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_role("slider", name="Step of the preview")).to_be_visible(
            timeout=PATIENCE_MS
        )
        assert page.locator(".fading img").get_attribute("src") != first
        published = page.locator('[data-status="published"]')
        expect(published).to_be_visible(timeout=4 * PATIENCE_MS)
        expect(page.get_by_text("Passed")).to_be_visible()
        expect(page.locator(".pair").first).to_be_visible(timeout=PATIENCE_MS)
        assert server.client.get("/v1/encoders/no-teapot").json()["status"] == "published"
        assert violations(page) == []
        page.get_by_role("button", name="Try it").click()
        expect(page.get_by_role("checkbox", name="no-teapot")).to_be_checked()


def test_an_encoder_that_fails_says_why_and_shows_the_pairs(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.url, "forget") as page:
        with_fields(page, settings={"steps": 3})
        page.get_by_role("button", name="grolo").click()
        page.get_by_label("A look").check()
        expect(page.get_by_text("Left empty, it is no-grolo.")).to_be_visible()
        page.get_by_role("button", name="Make it forget").click()
        failed = page.locator('[data-status="failed"]')
        expect(failed).to_be_visible(timeout=3 * PATIENCE_MS)
        assert server.client.get("/v1/encoders/no-grolo").json()["status"] == "failed"
        expect(page.locator(".why")).to_contain_text("'grolo' is gone from only")
        expect(page.locator(".pair.failed").first).to_contain_text("grolo is still drawn")
        expect(page.get_by_role("heading", name="What to change")).to_be_visible()
        assert violations(page) == []
        page.get_by_role("button", name="Change something and try again").click()
        expect(page.get_by_label("What", exact=True)).to_have_value("grolo")
        page.get_by_role("link", name="Encoders").click()
        card = page.locator('[data-encoder="no-grolo"]')
        expect(card).to_contain_text("Did not pass")
        server.client.delete("/v1/encoders/no-grolo").raise_for_status()  # from elsewhere
        look_again(page)
        expect(card).to_have_count(0)


def test_a_policy_is_switched_once_its_set_has_passed_and_never_to_one_that_failed(
    browser: Browser, server: Server
) -> None:
    def target() -> str:
        return server.client.get("/v1/aliases/terrace").raise_for_status().json()["encoder"]

    def ask(**boxes: bool) -> None:
        terrace.get_by_role("button", name="Edit").click()
        for name, is_on in boxes.items():
            box = page.locator(".edit").get_by_role("checkbox", name=name.replace("_", "-"))
            box.set_checked(is_on)
        page.get_by_role("button", name="Switch to this set").click()

    server.client.put("/v1/aliases/terrace", json={"encoder": "no-pogo"}).raise_for_status()
    with opened(browser, server.url, "policies") as page:
        terrace = page.locator('[data-policy="terrace"]')
        with_fields(page, gate=FEW)
        ask(no_star=True)
        expect(terrace.get_by_role("status")).to_contain_text("judged as terrace-1")
        assert target() == "no-pogo"
        page.get_by_role("link", name="Encoders").click()
        expect(page.locator('[data-encoder="terrace-1"] progress')).to_be_visible()
        passed = page.locator('[data-encoder="terrace-1"]')
        expect(passed).to_contain_text("Passed", timeout=PATIENCE_MS)
        expect(passed).to_contain_text("Aliases: terrace")  # by itself
        assert target() == "terrace-1"
        page.get_by_role("link", name="Policies").click()
        expect(page.get_by_text("terrace is switched to terrace-1.")).to_be_visible()
        expect(terrace).to_contain_text("now terrace-1")
        expect(terrace.get_by_role("status")).to_have_count(0)

        publish_without_effect(server, "no-tamu", "tamu")
        look_again(page)
        ask(no_star=False, no_tamu=True)
        expect(terrace.get_by_role("status")).to_contain_text("judged as terrace-2")
        expect(page.get_by_role("alert")).to_contain_text(
            "The set did not pass, so terrace stays as it was.", timeout=PATIENCE_MS
        )
        expect(terrace).to_contain_text("now terrace-1")
        expect(terrace.get_by_role("status")).to_have_count(0)
        assert server.client.get("/v1/encoders/terrace-2").json()["status"] == "failed"
        assert target() == "terrace-1"


def test_a_composed_set_is_judged_and_compared_with_the_base(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.url, "encoders") as page:
        with_fields(page, gate=FEW)
        for name in ("no-pogo", "no-star"):
            page.get_by_role("checkbox", name=f"Select {name}").check()
        page.get_by_role("button", name="Compose 2").click()
        page.get_by_label("Name of the set").fill("both")
        page.get_by_role("button", name="Judge the set").click()
        card = page.locator('[data-encoder="both"]')
        expect(card).to_contain_text("Passed", timeout=4 * PATIENCE_MS)
        expect(card).to_contain_text("set of 2")
        card.get_by_role("button", name="Try").click()
        choose(page, "base", "no-pogo", "both")
        page.get_by_role("button", name="Make 3 clips").click()
        wait_for_clips(page, 3)
        names = page.locator(".clip .name").all_inner_texts()
        assert sorted(names) == ["base", "both", "no-pogo"]
