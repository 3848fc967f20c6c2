"""A bound key learns nothing of the encoder that its own was trained from, by any route."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from encoders import Encoder
from tests.server.conftest import MakeClient
from tests.server.help import (
    Client,
    assert_error,
    bearer,
    device_held,
    publish,
    wait_for,
    write_keys,
)
from tests.server.test_dispatcher import until
from tests.unlearn.report_help import card_of, files_of

PARENT = "hidden-origin"
CHILD = "child"
ADMIN = bearer("secret-admin")
BOUND = [bearer("secret-bound"), bearer("secret-based"), bearer("secret-named")]
FILES = files_of(card_of(id=CHILD, parent=PARENT))
MAKES_VIDEOS = ("/v1/videos", "/v1/videos/sync", "/generate")
VIDEO = {"prompt": "a meadow", "steps": 1, "frames": 1}
MASKED = "The encoder that it was to be trained from cannot be used."


def keys_in(folder: Path) -> Path:
    return write_keys(
        folder / "keys.json",
        admin={"role": "admin"},
        bound={"role": "user", "encoders": [CHILD]},
        based={"role": "user", "encoders": [CHILD, "base"]},
        named={"role": "user", "encoders": [CHILD, "its-alias"]},
    )


@pytest.fixture(scope="module")
def client(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return make_client(keys_file=keys_in(tmp_path_factory.mktemp("keys")))


@pytest.fixture
def parent(client: Client) -> Generator[str]:
    publish(client.runtime, PARENT)
    yield PARENT
    for name in (CHILD, PARENT):
        client.delete(f"/v1/encoders/{name}", headers=ADMIN)


def make_child(client: Client) -> None:
    body = {"id": CHILD, "parent": PARENT, "concept": "blip", "kind": "character"}
    answer = client.post("/v1/encoders", json={**body, "settings": {"steps": 1}}, headers=ADMIN)
    assert answer.json()["parent"] == PARENT, answer.text


def looks(client: Client) -> Iterator[tuple[str, str, Any]]:
    """Yield every way to ask for an encoder: method, path and body. None of them ends it."""
    values = {
        "encoder_id": CHILD,
        "encoder": CHILD,
        "file": "clip.mp4",
        "model_id": f"tiny:{CHILD}",
        "name": "its-alias",
        "video_id": "video_1",
        "tenant": "bound",
        "step": 1,
        "replica_id": "0" * 32,
        "version": "1",
    }
    routes = client.unguarded.state.routes
    assert len(routes) > 25
    for route in routes:
        path = route.path.replace(":path", "").format(**values)
        for method in sorted(route.methods - {"HEAD"}):
            if path in MAKES_VIDEOS and method == "POST":
                for named in ({"encoder": CHILD}, {"model": f"tiny:{CHILD}"}):
                    yield method, path, {**VIDEO, **named}
            elif not path.endswith("/events"):  # those of a pending job do not end
                body = {"encoder": CHILD, "concept": "blip", "kind": "character"}
                yield method, path, body if method in ("POST", "PUT") else None
    yield "POST", "/v1/videos", VIDEO
    for name in (*FILES, "card.json"):
        yield "GET", f"/v1/encoders/{CHILD}/report/{name}", None
    for form in ("json", "zip"):
        yield "GET", f"/v1/encoders/{CHILD}/report?format={form}", None
    yield "GET", f"/v1/videos?after={PARENT}", None
    yield "GET", "/v1/encoders?limit=100&order=asc", None


def told(answer: httpx.Response) -> bytes:
    """Return all that an answer tells: headers, and the body with what is packed in it."""
    found = repr(answer.headers.multi_items()).encode() + answer.content
    if answer.headers.get("content-type") == "application/zip":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            found += b"".join(archive.read(name) for name in archive.namelist())
    return found


def assert_hidden(client: Client) -> dict[str, list[int]]:
    """Assert that no answer to a bound key has the parent's id; return path → statuses."""
    statuses: dict[str, list[int]] = {}
    for key in BOUND:
        for method, path, body in looks(client):
            answer = client.request(method, path, json=body, headers=key)
            if f"after={PARENT}" in path:
                assert answer.status_code == 404
                continue  # it repeats what was asked
            assert PARENT.encode() not in told(answer), (method, path, body, answer.text)
            statuses.setdefault(path, []).append(answer.status_code)
    return statuses


def assert_events_hide(client: Client, end: Callable[[], object]) -> None:
    """Follow the child as every key, while it is pending, until `end` removes it."""
    path = f"/v1/encoders/{CHILD}/events"
    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(client.get, path, headers=key) for key in (ADMIN, *BOUND)]
        until(lambda: client.runtime.followers.groups == len(streams), "nobody follows")
        end()
        of_admin, *of_bound = [stream.result(30).text for stream in streams]
    assert f'"parent":"{PARENT}"' in of_admin
    for text in of_bound:
        assert '"parent":null' in text
        assert PARENT not in text


def parent_of(client: Client, key: dict[str, str]) -> Any:
    return client.get(f"/v1/encoders/{CHILD}", headers=key).json()["parent"]


def test_of_a_child_that_is_being_made(client: Client, parent: str) -> None:
    with device_held(client.runtime):
        make_child(client)
        assert parent_of(client, ADMIN) == parent
        statuses = assert_hidden(client)
        assert set(statuses[f"/v1/encoders/{CHILD}"]) == {200, 403}
        assert 409 in statuses["/v1/videos"]
        remove = f"/v1/encoders/{CHILD}"
        assert_events_hide(client, lambda: client.delete(remove, headers=ADMIN))


def test_of_a_child_whose_parent_was_deleted(client: Client, parent: str) -> None:
    with device_held(client.runtime):
        before = {"id": "before", "concept": "pogo", "kind": "character"}  # the child waits for it
        assert client.post("/v1/encoders", json=before, headers=ADMIN).status_code == 200
        make_child(client)
        for name in (parent, "before"):
            assert client.delete(f"/v1/encoders/{name}", headers=ADMIN).status_code == 200
    failed = wait_for(client, f"/v1/encoders/{CHILD}", key="secret-admin")
    assert parent in failed["error"]["message"]
    statuses = assert_hidden(client)
    assert 404 in statuses["/v1/videos"]
    assert f"/v1/encoders/{CHILD}/report" in statuses
    for key in BOUND:
        assert parent not in client.get(f"/v1/encoders/{CHILD}/events", headers=key).text
        seen = client.get(f"/v1/encoders/{CHILD}", headers=key).json()
        assert (seen["parent"], seen["error"]["message"]) == (None, MASKED)
        for path in MAKES_VIDEOS:
            answer = client.post(path, json={**VIDEO, "encoder": CHILD}, headers=key)
            assert_error(answer, 404, code="encoder_not_found", says=MASKED)
        assert_error(client.get(f"/v1/encoders/{CHILD}/report", headers=key), 409, says=MASKED)
    answer = client.post("/v1/videos", json={**VIDEO, "encoder": CHILD}, headers=ADMIN)
    assert_error(answer, 404, says=parent)


def test_of_a_published_child(client: Client, parent: str) -> None:
    publish(client.runtime, CHILD, seed=2, parent=PARENT, report=FILES)
    client.put("/v1/aliases/its-alias", json={"encoder": CHILD}, headers=ADMIN)
    report = f"/v1/encoders/{CHILD}/report"
    try:
        assert parent_of(client, ADMIN) == parent
        statuses = assert_hidden(client)
        for path in (report, f"{report}?format=json", f"{report}?format=zip"):
            assert statuses[path] == [200] * len(BOUND)
            assert parent.encode() in told(client.get(path, headers=ADMIN))
        assert 200 in statuses["/v1/videos"]
        for key in BOUND:
            assert parent not in client.get(f"/v1/encoders/{CHILD}/events", headers=key).text
        _, based, _ = BOUND
        page = client.get(report, headers=based).text
        assert "not shown to this reader" in page  # the parent, but no picture
        assert "by the base encoder" in page
        told_based = client.get(f"{report}?format=json", headers=based).json()
        assert set(told_based["files"]) == {
            name for name in FILES if name.endswith((".mp4", ".png"))
        }
        assert (told_based["without_base"], told_based["without_parent"]) == (False, True)
    finally:
        client.delete("/v1/aliases/its-alias", headers=ADMIN)


def test_of_a_merged_encoder_no_member_is_told(client: Client, parent: str) -> None:
    """Its settings name its members, in the card and in the report."""
    settings = {
        "members": [{"id": parent, "identity": "sha256:" + "0" * 64}],
        "resistance": [{"member": parent, "concept": "pogo", "alone": 0.1, "merged": 0.5}],
        "ridge": 0.1,
    }
    publish(client.runtime, CHILD, seed=2)
    store = client.runtime.loaded.store
    encoder = store.load(CHILD)
    store.delete(CHILD)
    card = encoder.card.model_copy(update={"settings": settings})
    files = files_of(card_of(id=CHILD, parent=None, settings=settings))
    store.publish(Encoder(card, encoder.overrides), files)
    shown = client.get(f"/v1/encoders/{CHILD}", headers=ADMIN).json()["settings"]
    assert shown == settings
    statuses = assert_hidden(client)
    assert statuses[f"/v1/encoders/{CHILD}/report"] == [200] * len(BOUND)
    for key in BOUND:
        shown = client.get(f"/v1/encoders/{CHILD}", headers=key).json()["settings"]
        assert shown == {"ridge": 0.1}
