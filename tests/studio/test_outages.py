"""The studio where the server is killed, and behind a proxy below a path."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.server.help import SERVER_TIMEOUT_S, free_port
from tests.studio.help import PATIENCE_MS, choose, opened, studio_server, wait_for_clips

pytestmark = pytest.mark.slow

NGINX = """
daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log;
events {{}}
http {{
    access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
    server {{
        listen 127.0.0.1:{port};
        location /video/ {{
            proxy_pass http://127.0.0.1:{server}/;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Prefix /video;
            proxy_buffering off;
            proxy_http_version 1.1;
        }}
    }}
}}
"""


def test_the_page_goes_on_when_the_server_is_killed_and_comes_back(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        studio_server(tmp_path) as server,
        opened(browser, server.url) as page,
        opened(browser, server.url, "policies") as idle,
    ):
        page.get_by_label("Prompt", exact=True).fill("a star by the sea")
        choose(page, "base")
        page.get_by_text("Steps, size and the rest").click()
        page.get_by_label("Steps", exact=True).fill("100")
        page.get_by_label("Frames", exact=True).fill("4")
        page.get_by_role("button", name="Make the clip").click()
        expect(page.locator(".clip progress")).to_be_visible()
        for process in (server.parent, *server.parent.children(recursive=True)):
            process.kill()
        expect(page.get_by_text("The connection to the server is lost")).to_be_visible(
            timeout=PATIENCE_MS
        )
        expect(idle.get_by_text("The connection to the server is lost")).to_be_visible(
            timeout=PATIENCE_MS
        )
        assert idle.get_by_text("There are no policies yet.").count() == 0
        server.start()
        wait_for_clips(page, 1)
        expect(page.get_by_text("The connection to the server is lost")).to_have_count(0)
        assert page.get_by_label("Prompt", exact=True).input_value() == "a star by the sea"
        expect(idle.get_by_text("There are no policies yet.")).to_be_visible()
        expect(idle.get_by_text("The connection to the server is lost")).to_have_count(0)


@contextmanager
def nginx(home: Path, server: int) -> Generator[str]:
    """Run nginx in front of a server, and yield the address below its path."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if "CI" in os.environ:
            pytest.fail("there is no nginx; .ci/run installs it")
        pytest.skip("there is no nginx (Debian's package nginx-light)")
    port = free_port()
    configuration = home / "nginx.conf"
    configuration.write_text(NGINX.format(home=home, port=port, server=server))
    process = subprocess.Popen([program, "-c", configuration, "-p", home])
    url = f"http://127.0.0.1:{port}/video"
    until = time.monotonic() + SERVER_TIMEOUT_S
    try:
        while True:
            try:
                httpx.get(url + "/").raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < until, (home / "nginx.log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def test_the_page_works_below_a_path_behind_nginx(browser: Browser, tmp_path: Path) -> None:
    with (
        studio_server(tmp_path, trusted_proxies="127.0.0.1") as server,
        nginx(tmp_path, server.port) as url,
        opened(browser, url) as page,
    ):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        choose(page, "no-pogo")
        page.get_by_role("button", name="Make the clip").click()
        wait_for_clips(page, 1)
        page.get_by_role("link", name="Gallery").click()
        expect(page.locator(".item")).to_have_count(1)
        assert asked
        assert not [one for one in asked if not one.startswith((f"{url}/", "blob:", "data:"))]
