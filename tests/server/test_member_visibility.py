"""A bound key learns nothing of the members of its set, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from encoders import Encoder
from encoders.composite import composite_card
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
from tests.server.set_help import BODY, CLOSED, GATE, make_set, publish_members
from tests.server.stored_help import encoder_folder
from tests.server.test_dispatcher import until
from tests.server.test_visibility import told

ADMIN = bearer("secret-admin")
SECRET = "secretmember"
MEMBERS = [f"{SECRET}-0", f"{SECRET}-1"]
KEYS = {
    "bound": "acme",
    "by_alias": "acme-alias",
    "adding": "acme+more-0",
    "adding_all": "acme+more-0",
}
"""Key → what it names; the first is its default."""
MAKES_VIDEOS = ("/v1/videos", "/v1/videos/sync", "/generate")


@pytest.fixture(scope="module")
def client(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        bound={"role": "user", "encoders": ["acme"]},
        by_alias={"role": "user", "encoders": ["acme-alias"]},
        adding={"role": "user", "encoders": ["acme"], "additions": ["more-0"]},
        adding_all={"role": "user", "encoders": ["acme"], "additions": ["*"]},
    )
    client = make_client(ad_hoc_sets=True, keys_file=keys)
    publish(client.runtime, "more-0", seed=50, threshold=CLOSED)
    return client


@pytest.fixture
def acme(client: Client) -> Generator[None]:
    """Publish the set "acme" and its alias; the members' ids are secret."""
    publish_members(client, SECRET, CLOSED, CLOSED)
    make_set(client, "acme", MEMBERS, key="secret-admin")
    alias = client.put("/v1/aliases/acme-alias", json={"encoder": "acme"}, headers=ADMIN)
    assert alias.status_code == 200, alias.text
    yield
    client.delete("/v1/aliases/acme-alias", headers=ADMIN)
    remove_all(client)


def remove_all(client: Client) -> None:
    for name in ("acme", *MEMBERS):
        client.delete(f"/v1/encoders/{name}?force=true", headers=ADMIN)


def ask(client: Client, key: str, path: str = "/v1/videos", **fields: Any) -> Any:
    named = {} if KEYS[key] in ("acme", "acme-alias") else {"encoder": KEYS[key]}
    return client.post(path, json={**BODY, **named, **fields}, headers=bearer(f"secret-{key}"))


def queued(client: Client) -> dict[str, str]:
    """Accept a video of every key, and return key → id."""
    asked = {key: ask(client, key) for key in KEYS}
    assert {answer.status_code for answer in asked.values()} == {200}
    return {key: answer.json()["id"] for key, answer in asked.items()}


def assert_hidden(client: Client) -> None:
    """Assert that no answer to a bound key has a member's id in it, and that some are answered."""
    paths = [
        "/v1/encoders",
        "/v1/encoders/acme",
        "/v1/encoders/acme/events",
        "/v1/encoders/acme/report",
        "/v1/encoders/acme/report?format=json",
        "/v1/encoders/acme/report?format=zip",
        "/v1/models",
        "/v1/models/tiny:acme",
        "/v1/aliases",
        "/v1/videos?limit=100",
        "/metrics",
    ]
    for key in KEYS:
        headers = bearer(f"secret-{key}")
        videos = client.get("/v1/videos?limit=100", headers=headers).json()["data"]
        mine = [f"/v1/videos/{video['id']}" for video in videos]
        ends = [f"{one}{more}" for one in mine for more in ("", "/events", "/content")]
        answers = [client.get(path, headers=headers) for path in (*paths, *ends)]
        answers += [ask(client, key, path) for path in MAKES_VIDEOS]
        answers += [ask(client, key, model=f"tiny:{KEYS[key]}", encoder=None)]
        for answer in answers:
            assert SECRET.encode() not in told(answer), (key, answer.request.url, answer.text)
        assert 200 in {answer.status_code for answer in answers}


def assert_unusable(client: Client, *, at_once: bool) -> None:
    """Assert that every bound key is told that a member cannot be used, and of which set."""
    for key, name in KEYS.items():
        names = {name} if at_once else {name.replace("-alias", "")}
        for path in MAKES_VIDEOS if at_once else MAKES_VIDEOS[1:]:
            (said,) = names
            text = f"A member of the set '{said}' cannot be used: ask the operator."
            assert_error(ask(client, key, path), 409, code="member_unusable", says=text)


def assert_failed(client: Client, videos: dict[str, str]) -> None:
    """Assert that the videos failed, and that their errors name the set only."""
    for key, video_id in videos.items():
        error = wait_for(client, f"/v1/videos/{video_id}", key=f"secret-{key}")["error"]
        name = KEYS[key].replace("-alias", "")
        text = f"A member of the set '{name}' cannot be used: ask the operator."
        assert error == {"code": "member_unusable", "message": text}


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_of_a_set_whose_member_went(client: Client, acme: None, is_replaced: bool) -> None:
    assert_hidden(client)
    with device_held(client.runtime):
        videos = queued(client)
        client.delete(f"/v1/encoders/{SECRET}-0?force=true", headers=ADMIN).raise_for_status()
        if is_replaced:
            publish(client.runtime, f"{SECRET}-0", seed=77, threshold=CLOSED)
    assert_failed(client, videos)
    assert_unusable(client, at_once=True)
    assert_hidden(client)
    full = client.post("/v1/videos", json={**BODY, "encoder": "acme"}, headers=ADMIN)
    assert_error(full, 409, code="member_unusable", says=f"'{SECRET}-0'")


def test_of_a_set_whose_member_has_a_damaged_card(client: Client, acme: None) -> None:
    files = encoder_folder(client.runtime, f"{SECRET}-0")
    with device_held(client.runtime):
        videos = queued(client)
        files.write("card.json", files.read("card.json")[:-40])
    assert_failed(client, videos)
    assert_unusable(client, at_once=True)
    assert_hidden(client)
    full = client.post("/v1/videos", json={**BODY, "encoder": "acme"}, headers=ADMIN)
    assert_error(full, 409, code="encoder_damaged", says=f"'{SECRET}-0'")


@pytest.mark.parametrize("is_missing", [False, True], ids=["cut", "missing"])
def test_of_a_set_whose_member_has_lost_its_tensors(
    client: Client, acme: None, is_missing: bool
) -> None:
    files = encoder_folder(client.runtime, f"{SECRET}-0")
    (tensors,) = [path for path in files.names() if path.endswith(".safetensors")]
    with client.runtime.loaded.engine.residency._lock:
        client.runtime.loaded.engine.residency._entries.clear()
    files.remove(tensors) if is_missing else files.write(tensors, b"\x08" + bytes(20))
    assert_hidden(client)
    if is_missing:
        assert_unusable(client, at_once=False)
    full = client.post("/v1/videos/sync", json={**BODY, "encoder": "acme"}, headers=ADMIN)
    assert_error(full, full.status_code, says=f"'{SECRET}-0'" if is_missing else "")


def test_of_a_set_that_could_not_be_made(client: Client) -> None:
    publish_members(client, SECRET, CLOSED, CLOSED)
    with device_held(client.runtime):
        body = {"id": "acme", "compose": MEMBERS, "gate": GATE}
        assert client.post("/v1/encoders", json=body, headers=ADMIN).status_code == 200
        client.delete(f"/v1/encoders/{SECRET}-1", headers=ADMIN).raise_for_status()
    failed = wait_for(client, "/v1/encoders/acme", key="secret-admin")
    assert SECRET in failed["error"]["message"]
    text = "A member of the set 'acme' cannot be used: ask the operator."
    for key in ("bound", "adding", "adding_all"):
        headers = bearer(f"secret-{key}")
        seen = client.get("/v1/encoders/acme", headers=headers).json()
        assert seen["error"] == {"code": "member_unusable", "message": text}
        for path in MAKES_VIDEOS:
            answer = client.post(path, json={**BODY, "encoder": "acme"}, headers=headers)
            assert_error(answer, 404, code="encoder_not_found", says=text)
        for path in ("/v1/encoders", "/v1/encoders/acme/events", "/v1/encoders/acme/report"):
            answer = client.get(path, headers=headers)
            assert text in answer.text
            assert SECRET.encode() not in told(answer)
    remove_all(client)


def test_of_a_set_that_could_not_be_judged(client: Client) -> None:
    publish_members(client, SECRET, CLOSED, CLOSED)
    store = client.runtime.loaded.store
    store.publish(Encoder(composite_card("acme", [store.card(one) for one in MEMBERS]), {}))
    with device_held(client.runtime):
        asked = client.post("/v1/encoders/acme/judge", json={"gate": GATE}, headers=ADMIN)
        assert asked.status_code == 200, asked.text
        client.delete(f"/v1/encoders/{SECRET}-1?force=true", headers=ADMIN).raise_for_status()
    until(lambda: client.get("/v1/encoders/acme", headers=ADMIN).json()["error"], "not failed")
    full = client.get("/v1/encoders/acme", headers=ADMIN).json()
    assert f"'{SECRET}-1'" in full["error"]["message"]
    seen = client.get("/v1/encoders/acme", headers=bearer("secret-bound")).json()
    assert (seen["status"], seen["error"]["code"]) == ("published", "member_unusable")
    assert_hidden(client)
    remove_all(client)


def test_what_a_key_named_itself_is_said_in_full(client: Client, acme: None) -> None:
    publish(client.runtime, "always", seed=40)
    for key, names, status, says in (
        ("adding_all", "acme+none-such", 404, "There is no encoder 'none-such'."),
        ("adding_all", "acme+always", 409, "Encoder 'always' has no trigger"),
        ("bound", "acme+none-such", 403, "may not use encoder 'none-such'"),
    ):
        assert_error(ask(client, key, encoder=names), status, says=says)
    client.delete("/v1/encoders/acme", headers=ADMIN).raise_for_status()
    answer = ask(client, "by_alias")
    assert_error(answer, 404, says="Alias 'acme-alias' points to 'acme', which is no encoder")
