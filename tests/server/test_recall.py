"""An encoder's recall: its clips, aliases, sets and keys, by id, identity and digest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, publish, write_keys
from tests.server.ledger_help import made
from tests.server.set_help import OPEN, make_set, publish_members

BOSS = bearer("secret-boss")


@pytest.fixture(scope="module")
def server(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    user: dict[str, Any] = {"role": "user"}
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        single={**user, "encoders": ["m-0"]},
        policy={**user, "encoders": ["live"]},
        adder={**user, "encoders": ["no-rex"], "additions": ["m-0"]},
        stranger={**user, "encoders": ["no-rex"]},
        anything={**user, "encoders": ["*"]},
        gone={**user, "encoders": ["pair"]},
        boss={"role": "admin"},
    )
    client = make_client(keys_file=keys, ad_hoc_sets=True)
    publish_members(client, "m", OPEN, OPEN)
    publish(client.runtime, "no-rex", seed=5, concept="rex")
    make_set(client, "pair", ["m-0", "m-1"], key="secret-boss")
    pointed = client.put("/v1/aliases/live", json={"encoder": "pair"}, headers=BOSS)
    assert pointed.status_code == 200, pointed.text
    made(client, "single")
    made(client, "policy")
    made(client, "policy")
    made(client, "anything", encoders=["m-1", "m-0"])
    made(client, "gone")
    made(client, "stranger")
    erased = client.runtime.records.ledger.erase("gone")
    assert erased == 1
    return client


def recall(client: Client, name: str, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/v1/encoders/{name}/recall{query}", headers=BOSS)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_recall_finds_all_that_the_encoder_has_reached(server: Client) -> None:
    found = recall(server, "m-0")
    card = server.runtime.loaded.store.card("m-0")
    assert (found["ids"], found["identities"]) == (["m-0"], [card.identity])
    assert (found["published"], found["made_at"]) == (True, int(card.created_at.timestamp()))
    assert found["concepts"] == [{"name": "pogo", "kind": "character"}]
    assert (found["clips"], found["erased_clips"], len(found["data"])) == (5, 1, 5)
    assert found["first_at"] <= found["last_at"]
    assert [one["key"] for one in found["data"]] == ["single", "policy", "policy", "anything", None]
    [alias] = found["aliases"]
    assert (alias["id"], alias["encoder"]) == ("live", "pair")
    assert alias["since"] > 1_700_000_000
    sets = [(one["id"], one["published"], one["clips"]) for one in found["composites"]]
    assert sets == [("pair", True, 3), ("m-0+m-1", False, 1)]
    keys = {one["id"]: one for one in found["keys"]}
    reached = {
        "single": (["m-0"], [], 1),
        "policy": (["live"], [], 2),
        "adder": ([], ["m-0"], 0),
        "anything": ([], [], 1),
        "gone": (["pair"], [], 0),
    }
    assert {name: (k["bound_by"], k["may_add"], k["clips"]) for name, k in keys.items()} == reached
    assert keys["adder"]["first_at"] is None
    assert keys["policy"]["first_at"] <= keys["policy"]["last_at"]


def test_identity_and_digest_find_the_same_as_the_id(server: Client) -> None:
    by_id = recall(server, "m-0")
    card = server.runtime.loaded.store.card("m-0")
    assert card.identity != card.digest
    for name in (card.identity, card.digest):
        found = recall(server, name)
        told = "encoder", "notice"
        assert {k: v for k, v in found.items() if k not in told} == {
            k: v for k, v in by_id.items() if k not in told
        }
        assert name in found["notice"]
    pair = recall(server, "pair")
    assert (pair["clips"], pair["composites"]) == (3, [])
    assert pair["aliases"] == by_id["aliases"]
    # What a request put together of the same members is the same set.
    same = recall(server, server.runtime.loaded.store.card("pair").identity)
    assert (same["clips"], same["ids"]) == (4, ["m-0+m-1", "pair"])


def test_the_clips_come_page_by_page(server: Client) -> None:
    whole = recall(server, "m-0")["data"]
    pages: list[Any] = []
    query = "?limit=2"
    while True:
        page = recall(server, "m-0", query)
        assert page["clips"] == 5
        pages += page["data"]
        if not page["has_more"]:
            break
        query = f"?limit=2&after={page['last_sequence']}"
    assert pages == whole


def test_the_notice_says_what_happened_and_what_to_do(server: Client) -> None:
    notice = recall(server, "m-0")["notice"]
    for words in ("5 clips", "m-0", "“pogo” (character)", "alone or in a set", "[say why]"):
        assert words in notice
    assert recall(server, "no-rex")["notice"].startswith("One clip was made")
    publish(server.runtime, "unused", seed=9)
    unused = recall(server, "unused")
    assert (unused["clips"], unused["keys"], unused["data"]) == (0, [], [])
    assert unused["notice"].startswith("No clip in the ledger was made with the encoder unused.")


def test_a_deleted_encoder_is_recalled_and_its_successor_is_another(server: Client) -> None:
    first = publish(server.runtime, "no-tam", seed=6, concept="tam")
    make_set(server, "trio", ["m-0", "m-1"], key="secret-boss")
    video = made(server, "anything", encoder="no-tam")
    server.put("/v1/aliases/tam", json={"encoder": "no-tam"}, headers=BOSS)
    assert server.delete("/v1/encoders/no-tam", headers=BOSS).status_code == 200
    for name in ("no-tam", first.identity, first.digest):
        found = recall(server, name)
        assert (found["published"], found["made_at"], found["clips"]) == (False, None, 1)
        assert found["concepts"] == [{"name": "tam", "kind": "character"}]
        assert [one["video_id"] for one in found["data"]] == [video["id"]]
        assert [one["id"] for one in found["aliases"]] == ["tam"]
        assert [one["id"] for one in found["keys"]] == ["anything"]
    second = publish(server.runtime, "no-tam", seed=8, concept="tam")
    made(server, "anything", encoder="no-tam")
    assert recall(server, "no-tam")["clips"] == 2
    assert recall(server, "no-tam")["identities"] == sorted([first.identity, second.identity])
    old, new = recall(server, first.identity), recall(server, second.identity)
    assert (old["clips"], new["clips"]) == (1, 1)
    assert (old["published"], new["published"]) == (False, True)
    assert (old["aliases"], [one["id"] for one in new["aliases"]]) == ([], ["tam"])


def test_a_set_with_a_deleted_member_is_named(server: Client) -> None:
    publish(server.runtime, "x-0", seed=20, threshold=OPEN)
    publish(server.runtime, "x-1", seed=21, concept="blip", threshold=OPEN)
    make_set(server, "broken", ["x-0", "x-1"], key="secret-boss")
    card = server.runtime.loaded.store.card("x-0")
    assert server.delete("/v1/encoders/x-0?force=true", headers=BOSS).status_code == 200
    for name in ("x-0", card.identity):  # no clip was made with it
        [found] = recall(server, name)["composites"]
        assert (found["id"], found["published"], found["clips"]) == ("broken", True, 0)


def test_what_is_unknown_is_refused_with_a_way_on(server: Client) -> None:
    for name, says in (
        ("nothing", "'nothing'"),
        ("live", "recall the encoder that it points to, 'pair'"),
        (f"sha256:{'0' * 64}", "sha256:"),
    ):
        answer = server.get(f"/v1/encoders/{name}/recall", headers=BOSS)
        assert_error(answer, 404, code="encoder_not_found", says=says)
    for name in ("No-Pogo", "sha256:12", "a" * 64):
        assert_error(server.get(f"/v1/encoders/{name}/recall", headers=BOSS), 400)
    for query in ("limit=0", "after=-1"):
        assert_error(server.get(f"/v1/encoders/m-0/recall?{query}", headers=BOSS), 400)
