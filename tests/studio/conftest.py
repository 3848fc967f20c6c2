"""Fixtures: a browser, and a server over the built-in model that a file's tests share."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser

from tests.server.help import Server
from tests.studio import help


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Yield a browser."""
    with help.browser() as started:
        yield started


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Yield a server without keys; the browser comes first, without which nothing is started."""
    with help.studio_server(tmp_path_factory.mktemp("studio"), ad_hoc_sets="true") as started:
        yield started
