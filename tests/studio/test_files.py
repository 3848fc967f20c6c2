"""The studio's files: small, complete, its own, and served before anything is loaded."""

from __future__ import annotations

import re
import threading
from pathlib import Path, PurePosixPath

import pytest
from fastapi import FastAPI

from server import lazy_app
from server.api.app import create_app
from server.auth.live_keys import LiveKeys
from server.settings import Settings
from server.studio import files as studio_module
from server.studio.files import studio_files
from tests.server.help import (
    SERVER_TIMEOUT_S,
    Client,
    assert_error,
    bearer,
    settings_for,
    write_keys,
)
from tests.server.test_site import client_of

FOLDER = Path(studio_module.__file__).parent / "static"
OURS_BYTES, VENDORED_BYTES = 100_000, 40_000
"""Sizes as they are sent to a browser, which takes gzip."""
IMPORT = re.compile(r'(?:from|import)\s*"([^"]+)"')


def is_vendored(name: str) -> bool:
    return name.startswith("vendor/")


def test_the_files_are_small() -> None:
    sizes = {name: len(content) for name, content in studio_files().compressed.items()}
    assert len(sizes) > 20
    ours = sum(size for name, size in sizes.items() if not is_vendored(name))
    assert ours <= OURS_BYTES
    assert sum(size for name, size in sizes.items() if is_vendored(name)) <= VENDORED_BYTES


def test_a_file_is_compressed_for_those_that_take_it(client: Client) -> None:
    path = f"/studio/{studio_files().version}/texts.js"
    plain = client.get(path, headers={"accept-encoding": "identity"})
    packed = client.get(path)
    assert plain.content == packed.content == studio_files().contents["texts.js"]
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2


def test_every_import_names_a_file_that_is_there() -> None:
    found = 0
    for name, content in studio_files().contents.items():
        if not name.endswith(".js"):
            continue
        for target in IMPORT.findall(content.decode()):
            assert target.startswith("./"), (name, target)
            path = PurePosixPath(name).parent / target.removeprefix("./")
            assert path.as_posix() in studio_files().contents, (name, target)
            found += 1
    assert found > 60


def test_nothing_names_another_host() -> None:
    allowed = ("http://www.w3.org/",)  # names of namespaces, which nobody fetches
    for name, content in studio_files().contents.items():
        if name.endswith(".txt"):
            continue
        for url in re.findall(r"https?://[^\s\"'`)]+", content.decode()):
            assert url.startswith(allowed), (name, url)


def test_vendored_files_have_their_licences() -> None:
    licences = studio_files().contents["vendor/LICENSES.txt"].decode()
    vendored = [name for name in studio_files().named(".js") if is_vendored(name)]
    assert len(vendored) == 3
    for name in vendored:
        assert PurePosixPath(name).name in licences
    assert "MIT License" in licences
    assert "Apache License" in licences


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a client of a server that has not started: the page needs no model."""
    empty = tmp_path_factory.mktemp("empty")
    return Client(settings_for(empty, empty))


def test_the_page_allows_itself_alone(client: Client) -> None:
    answer = client.get("/")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy, "scripts are the default's: no inline ones"
    assert policy["media-src"].startswith("'self' blob:")
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)
    assert not re.search(r"\son[a-z]+=", answer.text)


def test_what_the_page_links_to_is_served_and_kept(client: Client) -> None:
    page = client.get("/").text
    linked = re.findall(r'(?:href|src)="(/studio/[^"]+)"', page)
    assert len(linked) > 20
    for path in linked:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["cache-control"]
        kind = "css" if path.endswith(".css") else "javascript"
        assert kind in answer.headers["content-type"]
    other = linked[0].replace(studio_files().version, "0" * 16)
    assert client.get(other).headers["cache-control"] == "no-store", "another version's page"
    assert_error(client.get("/studio/x/../../server/settings.py"), 404)
    assert_error(client.get("/studio/x/nothing.js"), 404)


def test_below_a_path_every_link_begins_with_it(tmp_path: Path) -> None:
    client = Client(settings_for(tmp_path, tmp_path, root_path="/video"))
    page = client.get("/").text
    assert '<base href="/video/">' in page
    assert not re.findall(r'(?:href|src)="/(?!video/)[^"]*"', page)


def test_the_page_needs_no_key_and_the_api_does(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", boss={"role": "admin"})
    client = Client(settings_for(tmp_path, tmp_path / "data", keys_file=keys))
    page = client.get("/")
    assert page.status_code == 200
    [script] = re.findall(r'src="([^"]+)"', page.text)
    assert client.get(script).status_code == 200
    assert_error(client.get("/v1/capabilities"), 401)
    assert client.get("/v1/capabilities", headers=bearer("secret-boss")).status_code == 503


def test_the_page_is_there_before_the_app(
    tiny_backbone_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def create(settings: Settings, keys: LiveKeys | None) -> FastAPI:
        assert go.wait(SERVER_TIMEOUT_S)
        return create_app(settings, keys)

    monkeypatch.setattr(lazy_app, "_create", create)
    monkeypatch.setattr(lazy_app, "HOLD_S", 0.1)
    served, client = client_of(settings_for(tiny_backbone_dir, tmp_path))
    with client:
        try:
            page = client.get("/")
            assert page.status_code == 200
            for path in re.findall(r'(?:href|src)="(/studio/[^"]+)"', page.text):
                assert client.get(path).status_code == 200
            assert_error(client.get("/v1/capabilities"), 503, code="loading")
            assert not served.ready
        finally:
            go.set()
