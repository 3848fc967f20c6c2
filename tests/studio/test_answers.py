"""Answers in the studio belong to what was asked for, and are not old; Back leads on."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from server.studio.files import studio_files
from tests.server.help import Server
from tests.studio.help import PATIENCE_MS, choose, look_again, opened, videos

LOST = "The connection to the server is lost"
IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("view", ["encoders/%E0%A4%A", "encoders", "%E0%A4%A", "constructor"])
def test_an_address_that_is_wrong_shows_a_view(browser: Browser, server: Server, view: str) -> None:
    heading = "Encoders" if view.startswith("encoders") else "What does it draw?"
    with opened(browser, server.url, view) as page:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def test_back_leads_out_of_forget(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "encoders") as page:
        page.evaluate("location.hash = '#/forget/no-such%3Fone'")
        expect(page).to_have_url(re.compile("#/forget$"))
        page.go_back()
        expect(page.get_by_role("heading", name="Encoders", exact=True)).to_be_visible()
        page.get_by_role("link", name="Make one").click()
        page.get_by_role("button", name="grolo").click()
        page.get_by_role("button", name="Make it forget").click()
        expect(page).to_have_url(re.compile("#/forget/no-grolo$"))
        page.get_by_role("button", name="Cancel").click()
        expect(page).to_have_url(re.compile("#/forget$"))
        page.go_back()
        page.go_back()
        page.wait_for_timeout(500)
        expect(page).to_have_url(re.compile("#/encoders$"))


def test_clips_stay_until_others_are_accepted(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        choose(page, "no-star")
        page.get_by_text("Steps, size and the rest").click()
        steps = page.get_by_label("Steps", exact=True)
        make = page.get_by_role("button", name="Make the clip")
        steps.fill("100")
        make.click()
        expect(page.locator(".clip progress")).to_be_visible(timeout=PATIENCE_MS)
        first = server.client.get("/v1/videos").json()["data"][0]["id"]
        steps.fill("5000")
        make.click()
        expect(page.locator(".field.wrong")).to_be_visible()
        expect(page.locator(".clip")).to_have_count(1)
        assert server.client.get(f"/v1/videos/{first}").status_code == 200
        steps.fill("1")
        with page.expect_response(lambda one: one.request.method == "DELETE") as deleted:
            make.click()
        assert deleted.value.url.endswith(first)
        expect(page.locator('.clip[data-status="completed"]')).to_have_count(1, timeout=PATIENCE_MS)
        assert server.client.get(f"/v1/videos/{first}").status_code == 404


def test_the_origin_shown_is_of_the_last_file(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "gallery") as page:
        held: list[Route] = []
        page.route("**/v1/verify", lambda route: held.append(route), times=1)
        drop = page.get_by_label("Drop a clip")
        said = page.locator(".verify [role=status]")
        drop.set_input_files(IMAGES / "studio-try.webp")
        expect(said).to_have_text("Looking …")
        drop.set_input_files(IMAGES / "studio-key.webp")
        expect(said).to_contain_text("studio-key.webp: ", timeout=PATIENCE_MS)
        with page.expect_response("**/v1/verify"):
            held[0].continue_()
        page.wait_for_timeout(300)
        expect(said).to_contain_text("studio-key.webp: ")


def test_lists_show_what_others_have_changed(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "encoders") as page:
        card = page.locator('[data-encoder="no-suri"]')
        expect(card).not_to_contain_text("Aliases")
        server.client.put("/v1/aliases/fresh", json={"encoder": "no-suri"}).raise_for_status()
        look_again(page)
        expect(card).to_contain_text("Aliases: fresh")
        server.client.put("/v1/aliases/fresh", json={"encoder": "no-dottie"}).raise_for_status()
        page.get_by_role("link", name="Policies").click()
        expect(page.locator('[data-policy="fresh"]')).to_contain_text("now no-dottie")
        server.client.delete("/v1/aliases/fresh").raise_for_status()
        page.get_by_role("link", name="Gallery").click()
        expect(page.locator("main .lead")).not_to_be_empty()
        before = page.locator(".item").count()
        server.client.post("/v1/videos", json={"prompt": "a star", "steps": 1}).raise_for_status()
        look_again(page)
        expect(page.locator(".item")).to_have_count(before + 1)
        expect(page.locator('.item[data-status="completed"]')).to_have_count(
            before + 1, timeout=PATIENCE_MS
        )
        page.get_by_role("link", name="Policies").click()
        expect(page.get_by_text("There are no policies yet.")).to_be_visible()


def test_the_view_of_an_encoder_that_was_deleted_elsewhere_ends(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.url, "forget/no-star") as page:
        expect(page.get_by_role("heading", name="Forgetting star")).to_be_visible()
        server.client.delete("/v1/encoders/no-star").raise_for_status()
        look_again(page)
        expect(page).to_have_url(re.compile("#/forget$"))
        expect(page.get_by_role("heading", name="What shall it forget?")).to_be_visible()


def test_looking_often_asks_seldom(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "policies") as page:
        asked: list[str] = []
        page.on("request", lambda one: asked.append(urlsplit(one.url).path))
        for _ in range(10):
            for view in ("Encoders", "Policies"):
                look_again(page)
                page.get_by_role("link", name=view).click()
        page.wait_for_timeout(2500)
        assert 1 <= asked.count("/v1/encoders") <= 4
        assert asked.count("/v1/aliases") == asked.count("/v1/encoders")


@pytest.mark.parametrize(
    ("view", "none"),
    [("Policies", "There are no policies yet."), ("Gallery", "No videos yet.")],
)
def test_nothing_is_said_to_be_none_while_the_server_is_away(
    browser: Browser, server: Server, view: str, none: str
) -> None:
    for video in videos(server):
        server.client.delete(f"/v1/videos/{video['id']}").raise_for_status()
    with opened(browser, server.url) as page:
        page.context.set_offline(True)
        page.get_by_role("link", name=view).click()
        expect(page.get_by_text(LOST)).to_be_visible()
        expect(page.get_by_role("heading", name=view)).to_be_visible()
        assert page.get_by_text(none).count() == 0
        page.context.set_offline(False)
        expect(page.get_by_text(none)).to_be_visible()
        expect(page.get_by_text(LOST)).to_have_count(0)


def test_errors_say_what_can_be_done_at_the_page(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        choose(page, "base")
        wrong = page.locator(".field.wrong .note")
        page.get_by_text("Steps, size and the rest").click()
        page.get_by_label("Not this").fill("a helicopter " * 20)
        page.get_by_role("button", name="Make the clip").click()
        expect(wrong).to_have_text("It is longer than the model reads: shorten it.")
        page.get_by_role("link", name="Forget").click()
        page.get_by_role("button", name="pogo").click()
        page.get_by_role("button", name="Look for names").click()
        off = "its operator has turned that off. Type in those that you know."
        expect(page.get_by_role("alert")).to_contain_text(off)
        page.get_by_label("Name of the encoder").fill("no Pogo")
        page.get_by_role("button", name="Make it forget").click()
        expect(wrong).to_contain_text("A name has 1 to 63 small letters")
        page.get_by_label("Name of the encoder").fill("no-pogo-2")
        page.get_by_label("Very sure").check()
        page.get_by_text("The numbers").click()
        page.get_by_label("clips looked at, at most").fill("2")
        page.get_by_role("button", name="Make it forget").click()
        expect(wrong).to_contain_text("allow more clips, or choose “A look”")
        page.get_by_role("link", name="Policies").click()
        page.get_by_role("button", name="New policy").click()
        page.get_by_label("Name").fill("Acme & Sons")
        page.get_by_role("checkbox", name="no-pogo").check()
        page.get_by_role("button", name="Switch to this set").click()
        expect(page.get_by_role("alert")).to_contain_text("A name has 1 to 63 small letters")


def test_the_page_has_its_own_text_for_codes_of_the_api_only(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.url) as page:
        path = f"/studio/{studio_files().version}/texts.js"
        told = page.evaluate("async (path) => (await import(path)).texts.told", path)
    root = Path(__file__).parents[2]
    sources = [path for room in ("server", "encoders") for path in (root / room).rglob("*.py")]
    code = "".join(path.read_text() for path in sources)
    assert len(told) > 5
    assert not [one for one in told if f'"{one}"' not in code]


def picture(file_format: str = "PNG", *, side: int = 40, more: int = 0) -> bytes:
    """Return the file of a picture, which has this many bytes behind its end."""
    content = io.BytesIO()
    Image.new("L", (side, side), 128).save(content, file_format)
    return content.getvalue() + bytes(more)


def test_a_file_that_the_server_would_not_take_is_named_at_once(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    limits = server.client.get("/v1/capabilities").json()
    most = limits["max_image_bytes"]
    files = {
        "good.webp": picture("WEBP"),
        "words.png": b"no picture at all",
        "moving.png": picture("GIF"),
        "torn.png": picture()[:60],
        "large.png": picture(more=most),
        "fine.png": picture(side=int(limits["max_image_pixels"] ** 0.5) + 1),
        "good.jpg": picture("JPEG", more=most // 2),
    }
    with opened(browser, server.url, "forget") as page:
        drop, thumbs = page.get_by_label("Drop pictures here"), page.locator(".thumbs li")
        drop.set_input_files([write(*one) for one in files.items()])
        expect(thumbs).to_have_count(2)
        said = page.get_by_role("alert")
        expect(said.locator("p")).to_have_text(
            [
                "Left out: words.png, moving.png. The server reads PNG, JPEG and WebP.",
                "Left out: torn.png. It cannot be read: it is damaged.",
                re.compile(r"Left out: large\.png\. A file has 8\.4 MB at most\."),
                "Left out: fine.png. A picture has 16,000,000 pixels at most.",
            ]
        )
        weight = limits["max_body_bytes"] // most + 1
        heavy = picture(more=most - 1000)
        drop.set_input_files([write(f"{number}.png", heavy) for number in range(weight)])
        expect(said).to_contain_text(f"Left out: {weight - 2}.png, {weight - 1}.png. All together")
        for number in range(weight - 2):
            page.get_by_role("button", name=f"Remove {number}.png").click()
        expect(thumbs).to_have_count(2)
        count = limits["max_images"]
        drop.set_input_files([write(f"{number}.png", picture()) for number in range(count)])
        expect(thumbs).to_have_count(count)
        expect(said).to_have_text(
            re.compile(f"{count - 2}.png, {count - 1}.png. At most {count} are taken.")
        )
        page.get_by_label("What", exact=True).fill("pogo")
        page.get_by_label("Name of the encoder").fill("by-pictures")
        page.get_by_role("button", name="Make it forget").click()
        expect(page.get_by_role("heading", name="Forgetting pogo")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page).to_have_url(re.compile("#/forget$"))


def test_the_count_of_videos_is_no_keys_without_keys(browser: Browser, server: Server) -> None:
    server.client.post("/v1/videos", json={"prompt": "a star", "steps": 1}).raise_for_status()
    with opened(browser, server.url, "gallery") as page:
        expect(page.locator("main .lead")).to_have_text(re.compile(r"^(1 video|\d+ videos)$"))
