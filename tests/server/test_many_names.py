"""Requests that name many encoders: refused whole, before anything is looked up."""

from __future__ import annotations

import itertools
import string
from collections import Counter
from typing import Any

import pytest

from encoders.composite import MAX_MEMBERS
from encoders.store import EncoderStore
from server.storage.alias_table import AliasTable
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, write_keys
from tests.server.set_help import BODY, CLOSED, make_set, publish_members

NAMES = ["".join(three) for three in itertools.product(string.ascii_lowercase, repeat=3)][:15_900]
KEYS = ("admin", "bound", "adding", "adding_all")


@pytest.fixture(scope="module", params=[False, True], ids=["sets-off", "sets-on"])
def client(
    request: pytest.FixtureRequest,
    make_client: MakeClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        bound={"role": "user", "encoders": ["acme"]},
        adding={"role": "user", "encoders": ["acme"], "additions": ["m-0"]},
        adding_all={"role": "user", "encoders": ["acme"], "additions": ["*"]},
    )
    client = make_client(ad_hoc_sets=request.param, keys_file=keys)
    make_set(client, "acme", publish_members(client, "m", CLOSED, CLOSED), key="secret-admin")
    return client


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the reads of the cards that requests name, and of the table of aliases."""
    counted: Counter[str] = Counter()
    card, targets, asked = EncoderStore.card, AliasTable.targets, frozenset(NAMES)

    def counted_card(store: EncoderStore, encoder_id: str) -> Any:
        counted["cards"] += encoder_id in asked  # the housekeeping reads those that are published
        return card(store, encoder_id)

    def counted_targets(table: AliasTable, names: Any) -> Any:
        counted["aliases"] += 1
        return targets(table, names)

    monkeypatch.setattr(EncoderStore, "card", counted_card)
    monkeypatch.setattr(AliasTable, "targets", counted_targets)
    return counted


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("route", ["/v1/videos", "/v1/videos/sync", "/generate"])
@pytest.mark.parametrize("field", ["encoder", "model"])
def test_a_body_full_of_names_is_refused_without_a_lookup(
    client: Client, lookups: Counter[str], key: str, route: str, field: str
) -> None:
    start = f"{client.runtime.loaded.backbone.name}:acme+" if field == "model" else "acme+"
    for count in (MAX_MEMBERS, len(NAMES)):
        body = {**BODY, field: start + "+".join(NAMES[:count])}
        answer = client.post(route, json=body, headers=bearer(f"secret-{key}"))
        assert_error(answer, 400, code="invalid_value", says=f"{count + 1} encoders")
        assert answer.json()["error"]["param"] == field
    assert not lookups.total()
    assert client.get("/v1/videos", headers=bearer(f"secret-{key}")).json()["data"] == []


@pytest.mark.parametrize("key", KEYS)
def test_the_most_names_that_a_set_has_cost_one_read_of_the_aliases(
    client: Client, lookups: Counter[str], key: str
) -> None:
    body = {**BODY, "encoder": "+".join(["acme", *NAMES[: MAX_MEMBERS - 1]])}
    answer = client.post("/v1/videos", json=body, headers=bearer(f"secret-{key}"))
    if not client.runtime.settings.ad_hoc_sets:
        assert_error(answer, 403, code="sets_not_allowed")
        assert not lookups.total()
    elif key in ("bound", "adding"):
        assert_error(answer, 403, code="encoder_not_allowed")
        assert (lookups["aliases"], lookups["cards"]) == (1, 0)
    else:
        assert_error(answer, 404, code="encoder_not_found", says="'aaa'")
        assert lookups["cards"] <= MAX_MEMBERS
        assert lookups["aliases"] <= 2  # what the key may use, and what the names mean
