"""Policies in the studio: the newest decision holds, and nothing is overwritten unsaid."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from encoders.composite import composite_card
from encoders.encoder import Encoder
from encoders.store import EncoderStore
from tests.server.help import Server
from tests.studio.help import PATIENCE_MS, opened

BOSS = "secret-boss"
KEPT = "palimpsest.switching"


def point(server: Server, name: str, encoder: str) -> None:
    """Point an alias to an encoder, as another program would."""
    server.client.put(f"/v1/aliases/{name}", json={"encoder": encoder}).raise_for_status()


def target(server: Server, name: str) -> str:
    """Return what an alias stands for."""
    return server.client.get(f"/v1/aliases/{name}").raise_for_status().json()["encoder"]


def policy_of(page: Page, name: str) -> Locator:
    """Return the card of a policy."""
    return page.locator(f'[data-policy="{name}"]')


def ask_for(page: Page, name: str, *members: str) -> None:
    """Edit a policy: have it stand for exactly these encoders."""
    policy_of(page, name).get_by_role("button", name="Edit").click()
    boxes = page.locator(".edit input[type=checkbox]")
    for number in range(boxes.count()):
        boxes.nth(number).uncheck()
    for member in members:
        page.locator(".edit").get_by_role("checkbox", name=member).check()
    page.get_by_role("button", name="Switch to this set").click()


def remember(page: Page, key: str, name: str, encoder: str, since: str) -> None:
    """Have the page find, when it is loaded next, that a policy waits for a set."""
    kept = {"key": key, "waiting": {name: {"id": encoder, "from": since}}}
    page.evaluate("(pair) => sessionStorage.setItem(...pair)", [KEPT, json.dumps(kept)])
    page.reload()
    expect(page.locator("main h1")).to_be_visible(timeout=PATIENCE_MS)


def test_a_new_policy_never_takes_the_place_of_another(browser: Browser, stocked: Server) -> None:
    with opened(browser, stocked.url, "policies", key=BOSS) as page:
        page.get_by_role("button", name="New policy").click()
        point(stocked, "house", "no-pogo")  # the page does not know it yet
        page.get_by_label("Name").fill("house")
        page.get_by_role("checkbox", name="no-star").check()
        page.get_by_role("button", name="Switch to this set").click()
        expect(page.locator(".field.wrong")).to_contain_text("The policy house exists: edit it.")
        assert target(stocked, "house") == "no-pogo"
        page.get_by_label("Name").fill("cottage")
        expect(page.locator(".field.wrong")).to_have_count(0)
        page.get_by_role("button", name="Switch to this set").click()
        expect(policy_of(page, "cottage")).to_contain_text("now no-star")


def test_an_alias_is_not_moved_unsaid(browser: Browser, stocked: Server) -> None:
    point(stocked, "garden", "no-pogo")
    with opened(browser, stocked.url, "encoders", key=BOSS) as page:
        page.locator('[data-encoder="no-star"]').get_by_role("button", name="Alias").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name of the alias").fill("gard")
        expect(dialog.get_by_role("button", name="Point it here")).to_be_enabled()
        dialog.get_by_label("Name of the alias").fill("garden")
        expect(dialog.get_by_role("status")).to_have_text(
            "garden stands for no-pogo now, and will be moved to no-star."
        )
        dialog.get_by_role("button", name="Move it here").click()
        expect(dialog).to_have_count(0)
        assert target(stocked, "garden") == "no-star"


def test_the_question_before_a_deletion_names_all_that_use_the_encoder(
    browser: Browser, stocked: Server
) -> None:
    with opened(browser, stocked.url, "encoders", key=BOSS) as page:
        card = page.locator('[data-encoder="no-pogo"]')
        point(stocked, "porch", "both")  # by the set; the page does not know them yet
        point(stocked, "patio", "no-pogo")
        point(stocked, "pergola", "no-suri")
        card.get_by_role("button", name="Delete").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("a member of both")
        said = dialog.get_by_text("use it: requests that name them are refused")
        expect(said).to_contain_text("porch")
        expect(said).to_contain_text("patio")
        assert "pergola" not in said.inner_text()


def test_a_newer_decision_ends_the_wait_for_a_set(browser: Browser, stocked: Server) -> None:
    point(stocked, "shed", "no-pogo")
    with opened(browser, stocked.url, "policies", key=BOSS) as page:
        shed = policy_of(page, "shed")
        ask_for(page, "shed", "no-pogo", "no-suri")
        expect(shed.get_by_role("status")).to_contain_text("this page has to stay open")
        ask_for(page, "shed", "no-star")
        expect(shed).to_contain_text("now no-star")
        expect(shed.get_by_role("status")).to_have_count(0)
        ask_for(page, "shed", "no-star", "no-suri")
        expect(shed.get_by_role("status")).to_be_visible()
        shed.get_by_role("button", name="Delete").click()
        page.get_by_label("Type shed to delete the policy").fill("shed")
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(shed).to_have_count(0)
        assert json.loads(page.evaluate(f"sessionStorage['{KEPT}']"))["waiting"] == {}
    for name in ("shed-1", "shed-2"):
        stocked.client.delete(f"/v1/encoders/{name}").raise_for_status()


def test_a_wait_outlives_a_reload(browser: Browser, stocked: Server) -> None:
    point(stocked, "barn", "no-pogo")
    with opened(browser, stocked.url, "policies", key=BOSS) as page:
        barn = policy_of(page, "barn")
        ask_for(page, "barn", "no-pogo", "no-suri")
        expect(barn.get_by_role("status")).to_contain_text("barn-1")
        page.reload()
        expect(barn.get_by_role("status")).to_contain_text("barn-1")
        stocked.client.delete("/v1/encoders/barn-1").raise_for_status()
        expect(page.get_by_role("alert")).to_contain_text("barn stays as it was")
        remember(page, BOSS, "barn", "both", "no-pogo")  # which has passed
        expect(barn).to_contain_text("now both")
        assert target(stocked, "barn") == "both"


@pytest.mark.parametrize(("key", "since"), [("secret-deputy", "no-pogo"), (BOSS, "no-suri")])
def test_a_wait_gives_way(browser: Browser, stocked: Server, key: str, since: str) -> None:
    point(stocked, "mill", "no-pogo")  # asked for by another key; or moved elsewhere since
    with opened(browser, stocked.url, "policies", key=BOSS) as page:
        remember(page, key, "mill", "both", since)
        if key == BOSS:
            expect(page.get_by_role("alert")).to_contain_text("mill stands for no-pogo since")
        page.wait_for_timeout(500)
        assert target(stocked, "mill") == "no-pogo"


def test_a_name_is_sent_as_it_was_typed(browser: Browser, stocked: Server) -> None:
    with opened(browser, stocked.url, "policies", key=BOSS) as page:
        page.get_by_role("button", name="New policy").click()
        page.get_by_label("Name").fill("yard?x=#y")
        page.get_by_role("checkbox", name="no-star").check()
        with page.expect_request(lambda one: one.method == "PUT") as put:
            page.get_by_role("button", name="Switch to this set").click()
        assert put.value.url.endswith("/v1/aliases/yard%3Fx%3D%23y")
        expect(page.locator(".edit .notice")).to_be_visible()
        assert stocked.client.get("/v1/aliases/yard").status_code == 404


def test_a_policy_without_a_member_says_so_and_is_mended(browser: Browser, stocked: Server) -> None:
    point(stocked, "loft", "pair")
    gone = stocked.client.delete("/v1/encoders/no-dottie", params={"force": True})
    gone.raise_for_status()
    with opened(browser, stocked.url, "policies", key=BOSS) as page:
        loft = policy_of(page, "loft")
        expect(loft).to_contain_text("cannot be used: no-dottie is gone")
        loft.get_by_role("button", name="Edit").click()
        lost = page.locator(".edit").get_by_role("checkbox", name="no-dottie")
        expect(lost).to_be_checked()
        lost.uncheck()
        page.get_by_role("button", name="Switch to this set").click()
        expect(loft).to_contain_text("now no-suri")
        expect(loft).not_to_contain_text("cannot be used")


def test_an_encoder_that_came_into_a_set_is_deleted_when_that_is_known(
    browser: Browser, stocked: Server
) -> None:
    stocked.client.delete("/v1/encoders/both").raise_for_status()
    with opened(browser, stocked.url, "encoders", key=BOSS) as page:
        card = page.locator('[data-encoder="no-star"]')
        with page.expect_response("**/v1/aliases"):  # the lists are read as the dialog opens
            card.get_by_role("button", name="Delete").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Type no-star").fill("no-star")
        store = EncoderStore(stocked.log.parent / "data" / "encoders")
        cards = [store.card(name) for name in ("no-star", "no-suri")]
        store.publish(Encoder(composite_card("late", cards), {}))
        delete = dialog.get_by_role("button", name="Delete for good")
        delete.click()
        expect(dialog.get_by_role("alert")).to_contain_text("that was not named")
        expect(dialog).to_contain_text("a member of late")
        delete.click()
        expect(card).to_have_count(0)
        assert stocked.client.get("/v1/encoders/no-star").status_code == 404
