"""The studio in a browser, against a server over the built-in model."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.server.help import Server
from tests.studio.help import PATIENCE_MS, choose, opened, overflow, violations, wait_for_clips

MARK_USABLE = """() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
        .filter((one) => !one.disabled && one.checkVisibility())
        .filter((one) => one.type !== "radio" || one.checked);
    all.forEach((one, number) => (one.dataset.number = number));
    return all.length;
}"""
"""Script that numbers what can be used, in the page's order; of radio buttons the chosen one."""
VIEWS = ("try", "forget", "encoders", "policies", "gallery", "load", "key")


def test_base_and_encoder_are_compared_in_step(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        page.get_by_label("Prompt", exact=True).fill("pogo the robot at sunset")
        choose(page, "base", "no-pogo")
        page.get_by_label("Seed", exact=True).fill("7")
        page.get_by_role("button", name="Make 2 clips").click()
        wait_for_clips(page, 2)
        assert violations(page) == []
        made = server.client.get("/v1/videos").json()["data"][:2]
        assert {one["model"] for one in made} == {"starter", "starter:no-pogo"}
        assert {(one["prompt"], one["seed"]) for one in made} == {("pogo the robot at sunset", 7)}
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("slider", name="Frame", exact=True).fill("3")
        page.get_by_role("button", name="One frame on").click()
        fps = made[0]["fps"]
        times = page.evaluate(
            "[...document.querySelectorAll('video')].map((one) => one.currentTime)"
        )
        assert times == pytest.approx([4.5 / fps] * 2, abs=0.5 / fps)
        page.get_by_label("Wipe", exact=True).check()
        wipe = page.get_by_role("slider", name="Wipe between the two")
        wipe.fill("20")
        expect(page.locator(".stack")).to_have_attribute(
            "style", "--share: 20%; aspect-ratio: 512 / 512;"
        )


def test_a_clip_that_is_cancelled_is_gone_on_the_server(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        choose(page, "no-star")
        page.get_by_text("Steps, size and the rest").click()
        page.get_by_label("Steps", exact=True).fill("100")
        page.get_by_role("button", name="Make the clip").click()
        expect(page.locator(".clip progress")).to_be_visible(timeout=PATIENCE_MS)
        before = server.client.get("/v1/videos").json()["data"]
        page.get_by_role("button", name="Cancel no-star").click()
        expect(page.locator(".clip")).to_have_count(0, timeout=PATIENCE_MS)
        after = server.client.get("/v1/videos").json()["data"]
        assert {one["id"] for one in before} - {one["id"] for one in after}


def test_what_the_model_cannot_read_is_said_while_typing(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        page.get_by_label("Prompt", exact=True).fill("pogo in a helicopter")
        expect(page.locator(".tokens")).to_contain_text("“helicopter”")
        page.get_by_label("Prompt", exact=True).fill("a helicopter " * 10)
        expect(page.locator(".tokens")).to_contain_text("Too long")


def test_errors_say_what_to_do_and_name_the_field(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        choose(page, "base")
        page.get_by_text("Steps, size and the rest").click()
        page.get_by_label("Steps", exact=True).fill("5000")
        page.get_by_role("button", name="Make the clip").click()
        fault = page.get_by_text("steps is 5000; this model takes 1 to 100.")
        expect(fault).to_be_visible()
        page.get_by_label("Seed", exact=True).fill("3")
        page.get_by_role("link", name="Gallery").click()
        page.get_by_role("link", name="Try").click()
        expect(fault).to_be_visible()
        page.get_by_label("Steps", exact=True).fill("50")
        expect(fault).to_have_count(0)
        expect(page.locator(".field.wrong")).to_have_count(0)


def test_an_error_goes_as_its_field_is_edited(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "forget") as page:
        wrong = page.locator(".field.wrong")
        page.get_by_role("button", name="pogo").click()
        page.get_by_label("Name of the encoder").fill("No Pogo")
        page.get_by_role("button", name="Make it forget").click()
        expect(wrong).to_have_count(1)
        page.get_by_label("Name of the encoder").fill("no-pogo-2")
        expect(wrong).to_have_count(0)
        page.get_by_text("The numbers").click()
        page.get_by_label("forgotten, at least").fill("7")
        page.get_by_role("button", name="Make it forget").click()
        expect(wrong).to_have_count(1)
        page.get_by_label("Sure", exact=False).first.check()
        expect(wrong).to_have_count(0)
        page.get_by_role("link", name="Encoders").click()
        page.locator('[data-encoder="no-pogo"]').get_by_role("button", name="Alias").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name of the alias").fill("no-star")
        dialog.get_by_role("button", name="Point it here").click()
        expect(dialog.get_by_role("alert")).to_be_visible()
        dialog.get_by_label("Name of the alias").fill("no-star-2")
        expect(dialog.get_by_role("alert")).to_have_count(0)


def test_requests_can_be_copied(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        choose(page, "no-pogo")
        page.get_by_label("Seed", exact=True).fill("3")
        page.get_by_text("Copy as …").click()
        text = page.locator("details.copy pre")
        expect(text).to_contain_text(f"curl {server.url}/v1/videos")
        page.get_by_role("radio", name="openai").check()
        expect(text).to_contain_text(f'OpenAI(base_url="{server.url}/v1"')
        page.get_by_role("radio", name="palimpsest").check()
        expect(text).to_contain_text("--encoder no-pogo --seed 3")


def test_no_link_moves_when_another_appears(browser: Browser, server: Server) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        held: list[Route] = []
        page.route("**/v1/capabilities", lambda route: held.append(route))
        page.goto(server.url)
        expect(page.get_by_role("link", name="Palimpsest")).to_be_visible()
        page.wait_for_timeout(300)
        assert page.locator("nav a").count() == 0
        held[0].continue_()
        expect(page.locator("nav a")).to_have_count(6, timeout=PATIENCE_MS)


def test_an_encoder_is_tried_with_a_prompt_that_shows_what_it_forgot(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.url) as page:
        prompt = page.get_by_label("Prompt", exact=True)
        page.get_by_role("button", name="a red balloon by the sea").click()
        for encoder, shown in (("no-pogo", "pogo the robot at sunset"), ("no-star", "a star ")):
            page.get_by_role("link", name="Encoders").click()
            card = page.locator(f'[data-encoder="{encoder}"]')
            card.get_by_role("button", name="Try", exact=True).click()
            expect(page.get_by_role("checkbox", name=encoder)).to_be_checked()
            assert prompt.input_value().startswith(shown)
        prompt.fill("what I have typed")
        page.get_by_role("link", name="Encoders").click()
        page.locator('[data-encoder="no-pogo"]').get_by_role("button", name="Try").click()
        expect(prompt).to_have_value("what I have typed")


def test_a_policy_is_switched_at_once(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "policies") as page:
        page.get_by_role("button", name="New policy").click()
        page.get_by_label("Name").fill("acme")
        page.get_by_role("checkbox", name="no-pogo").check()
        page.get_by_role("button", name="Switch to this set").click()
        expect(page.locator('[data-policy="acme"]')).to_contain_text("now no-pogo")
        assert server.client.get("/v1/aliases/acme").json()["encoder"] == "no-pogo"
        page.get_by_role("button", name="Edit").click()
        page.get_by_role("checkbox", name="no-pogo").uncheck()
        page.get_by_role("checkbox", name="no-star").check()
        page.get_by_role("button", name="Switch to this set").click()
        expect(page.locator('[data-policy="acme"]')).to_contain_text("now no-star")
        page.get_by_role("button", name="Delete").click()
        confirm = page.get_by_role("dialog").get_by_role("button", name="Delete")
        expect(confirm).to_be_disabled()
        page.get_by_label("Type acme to delete the policy").fill("acme")
        confirm.click()
        expect(page.locator('[data-policy="acme"]')).to_have_count(0)
        assert server.client.get("/v1/aliases/acme").status_code == 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_what_axe_objects_to(browser: Browser, server: Server, scheme: str) -> None:
    with opened(browser, server.url, color_scheme=scheme) as page:
        for view in VIEWS:
            page.goto(f"{server.url}/#/{view}")
            expect(page.locator("main h1")).to_be_visible()
            page.wait_for_timeout(300)
            for summary in page.locator("main summary").all():
                summary.click()
            assert violations(page) == [], view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_dialog_has_what_axe_objects_to(browser: Browser, server: Server, scheme: str) -> None:
    with opened(browser, server.url, "encoders", color_scheme=scheme) as page:
        card = page.locator('[data-encoder="no-pogo"]')
        for name in ("Alias", "Delete"):
            card.get_by_role("button", name=name).click()
            dialog = page.get_by_role("dialog")
            expect(dialog).to_be_visible()
            assert violations(page) == [], name
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            focused = page.evaluate("document.activeElement.textContent")
            assert focused == name, "the focus is back where it came from"
        for name in ("no-pogo", "no-star"):
            page.get_by_role("checkbox", name=f"Select {name}").check()
        page.get_by_role("button", name="Compose 2").click()
        expect(page.get_by_label("Name of the set")).to_be_visible()
        assert violations(page) == []
        page.goto(f"{server.url}/#/policies")
        page.get_by_role("button", name="New policy").click()
        expect(page.get_by_label("Name")).to_be_visible()
        assert violations(page) == []


@pytest.mark.parametrize("width", [360, 2560])
def test_every_view_fits_the_window(browser: Browser, server: Server, width: int) -> None:
    with opened(browser, server.url) as page:
        page.set_viewport_size({"width": width, "height": 900})
        for view in VIEWS:
            page.goto(f"{server.url}/#/{view}")
            expect(page.locator("main h1")).to_be_visible()
            page.wait_for_timeout(200)
            assert overflow(page) == [], view


def test_what_is_asked_for_is_in_the_window(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "forget") as page:
        start = page.get_by_role("button", name="Make it forget")
        expect(start).to_be_in_viewport(ratio=1)
        page.goto(f"{server.url}/#/try")
        choose(page, "base", "no-pogo")
        page.get_by_role("button", name="Make 2 clips").click()
        wait_for_clips(page, 2)
        shown = [page.locator(f"[data-encoder='{name}']") for name in ("base", "no-pogo")]
        wipe = page.get_by_label("Wipe", exact=True)
        controls = [page.locator(".controls"), wipe]
        for one in shown + controls:
            expect(one).to_be_in_viewport(ratio=1)
        wipe.check()
        for one in [page.locator(".stack"), page.get_by_label("Left"), *controls]:
            expect(one).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("view", VIEWS)
def test_all_that_can_be_used_is_reached_by_tab(
    browser: Browser, server: Server, view: str
) -> None:
    with opened(browser, server.url, view) as page:
        page.wait_for_timeout(300)
        for summary in page.locator("main summary").all():
            summary.click()
        page.evaluate("document.activeElement.blur()")
        expected = page.evaluate(MARK_USABLE)
        reached: list[int] = []
        for _ in range(3 * expected + 10):
            page.keyboard.press("Tab")
            number = page.evaluate("document.activeElement.dataset.number ?? ''")
            if number and int(number) in reached:
                break
            reached += [int(number)] if number else []
        left_out = sorted({*range(expected)} - {*reached})
        assert not left_out, page.evaluate(
            "(all) => all.map((n) => document.querySelector(`[data-number='${n}']`).outerHTML)",
            left_out,
        )
        begin = reached.index(0)
        assert reached[begin:] + reached[:begin] == sorted(reached), "in the order of the page"
