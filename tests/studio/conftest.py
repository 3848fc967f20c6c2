"""Fixtures: a browser, and a server over the built-in model that a file's tests share."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser

from encoders.composite import composite_card
from encoders.encoder import Encoder
from encoders.store import EncoderStore
from tests.server.help import Server, bearer, write_keys
from tests.studio import help

SETS = {"both": ("no-pogo", "no-star"), "pair": ("no-suri", "no-dottie")}


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


@pytest.fixture(scope="module")
def stocked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Yield a server that has two sets, and two admins' keys: "boss" and "deputy"."""
    home = tmp_path_factory.mktemp("stocked")
    keys = write_keys(home / "keys.json", boss={"role": "admin"}, deputy={"role": "admin"})
    with help.studio_server(home, keys_file=keys) as started:
        store = EncoderStore(home / "data" / "encoders")
        for name, members in SETS.items():
            cards = [store.card(one) for one in members]
            store.publish(Encoder(composite_card(name, cards), {}))
        started.client.headers.update(bearer("secret-boss"))
        yield started
