"""Sets in requests: put together by a setting, and by keys that are bound to encoders."""

from __future__ import annotations

from typing import Any

import pytest

from server.storage.records import VideoRecord
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, publish, write_keys
from tests.server.set_help import BODY, CLOSED, OPEN, frames, make_set, publish_members, video


def test_a_server_that_takes_sets_marks_their_videos(make_client: MakeClient) -> None:
    client = make_client(ad_hoc_sets=True)
    publish_members(client, "set", CLOSED, OPEN, CLOSED)
    publish(client.runtime, "always", seed=40)
    model = client.runtime.loaded.backbone.name
    asked = [
        {"encoders": ["set-0", "set-1"]},
        {"encoders": ["set-1", "set-0", "set-1"]},
        {"encoder": "set-1+set-0"},
        {"model": f"{model}:set-0+set-1"},
        {"model": f"{model}:set-0+set-1", "encoders": ["set-1", "set-0"]},
    ]
    records = [video(client, **fields) for fields in asked]
    assert len({record.encoder_identity for record in records}) == 1
    assert {record.model for record in records} == {f"{model}:set-0+set-1"}
    assert len({frames(client, record) for record in records}) == 1
    for record in records:
        assert client.get(f"/v1/videos/{record.id}").json()["unjudged"] is True
    alone = video(client, encoder="set-1")
    assert frames(client, alone) == frames(client, records[0])
    assert client.get(f"/v1/videos/{alone.id}").json()["unjudged"] is False
    one = video(client, encoders=["set-1"])
    assert (one.encoder_id, one.encoder_members) == ("set-1", None)
    for fields, code in (
        ({"encoders": ["set-0", "none-such"]}, "encoder_not_found"),
        ({"encoders": ["set-0", "always"]}, "encoder_not_calibrated"),
        ({"encoders": ["set-0", "base"]}, "invalid_value"),
        ({"encoders": ["set-0", "set-1"], "encoder": "set-0"}, "encoder_conflict"),
        ({"encoders": ["set-0", ""]}, None),
        ({"encoder": "set-0+"}, None),
        ({"encoders": [f"e{i}" for i in range(65)]}, None),
    ):
        refused = client.post("/v1/videos", json={**BODY, **fields})
        assert refused.status_code in (400, 404, 409), refused.text
        assert_error(refused, refused.status_code, code=code)


@pytest.fixture(scope="module")
def keyed(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a client of a server that takes sets, with keys bound to the composite "acme"."""
    folder = tmp_path_factory.mktemp("keys")
    keys = write_keys(
        folder / "keys.json",
        admin={"role": "admin"},
        bound={"role": "user", "encoders": ["acme"]},
        adding={"role": "user", "encoders": ["acme"], "additions": ["more-0", "more-alias"]},
        adding_all={"role": "user", "encoders": ["acme"], "additions": ["*"]},
        by_alias={"role": "user", "encoders": ["acme-alias"], "additions": ["more-0"]},
        solo={"role": "user", "encoders": ["solo", "triggered"], "additions": ["more-0"]},
    )
    client = make_client(ad_hoc_sets=True, keys_file=keys)
    members = publish_members(client, "acme", CLOSED, CLOSED)
    publish_members(client, "more", OPEN, CLOSED)
    make_set(client, "acme", members, key="secret-admin")
    publish(client.runtime, "solo", seed=50, threshold=CLOSED, triggered_alone=False)
    publish(client.runtime, "triggered", seed=51, threshold=CLOSED)
    for alias, target in (("acme-alias", "acme"), ("more-alias", "more-1")):
        client.put(
            f"/v1/aliases/{alias}", json={"encoder": target}, headers=bearer("secret-admin")
        ).raise_for_status()
    return client


DROPPING: list[dict[str, Any]] = [
    {"encoder": "base"},
    {"encoder": "acme-0"},
    {"encoder": "acme-1"},
    {"encoder": "acme-0+acme-1"},
    {"encoder": "more-0"},
    {"encoder": "more-0+more-1"},
    {"encoders": ["acme-0"]},
    {"encoders": ["acme-0", "acme-1"]},
    {"encoders": ["base"]},
    {"encoders": ["acme", "base"]},
    {"encoders": ["more-0"]},
    {"encoders": ["more-alias"]},
    {"encoders": [""]},
    {"encoder": ""},
    {"encoder": "+"},
    {"encoder": "acme+"},
    {"encoder": "ACME"},
    {"encoder": "acme "},
    {"model": "MODEL:base"},
    {"model": "MODEL:"},
    {"model": "MODEL:acme-0"},
    {"model": "MODEL:acme-0+acme-1"},
    {"model": "MODEL:acme+base"},
    {"model": "MODEL:more-0"},
    {"model": "MODEL:acme", "encoder": "base"},
    {"model": "MODEL:base", "encoder": "acme"},
    {"model": "MODEL:acme", "encoders": ["acme-0"]},
]


@pytest.mark.parametrize("key", ["bound", "adding", "adding_all", "by_alias"])
@pytest.mark.parametrize("route", ["/v1/videos", "/v1/videos/sync", "/generate"])
@pytest.mark.parametrize("as_form", [False, True], ids=["json", "form"])
def test_a_bound_key_drops_no_member_by_any_route_or_field(
    keyed: Client, key: str, route: str, as_form: bool
) -> None:
    model = keyed.runtime.loaded.backbone.name
    for fields in DROPPING:
        body = {
            **BODY,
            **{
                name: value.replace("MODEL", model) if isinstance(value, str) else value
                for name, value in fields.items()
            },
        }
        sent = {"data": body} if as_form else {"json": body}
        refused = keyed.post(route, headers=bearer(f"secret-{key}"), **sent)
        assert refused.status_code in (400, 403), (fields, refused.text)
        assert_error(refused, refused.status_code)
    records = keyed.runtime.records.all(VideoRecord)
    assert not [record for record in records if record.owner == key and record.encoder_id is None]


@pytest.mark.parametrize(
    ("key", "asked", "allowed"),
    [
        ("bound", {}, True),
        ("bound", {"encoder": "acme"}, True),
        ("bound", {"encoders": ["acme"]}, True),
        ("bound", {"encoders": ["acme", "more-0"]}, False),
        ("adding", {}, True),
        ("adding", {"encoders": ["acme", "more-0"]}, True),
        ("adding", {"encoders": ["more-0", "acme"]}, True),
        ("adding", {"encoder": "more-alias+acme"}, True),
        ("adding", {"encoder": "more-1+acme"}, True),
        ("adding", {"encoders": ["acme", "acme-0"]}, False),
        ("adding_all", {"encoders": ["acme", "acme-0"]}, True),
        ("adding_all", {"encoders": ["acme", "none-such"]}, None),
        ("by_alias", {"encoders": ["acme-alias", "more-0"]}, True),
        ("by_alias", {"encoders": ["acme", "more-0"]}, True),
        ("by_alias", {"encoders": ["acme-alias", "more-1"]}, False),
    ],
)
def test_a_key_may_add_what_it_lists_as_additions(
    keyed: Client, key: str, asked: dict[str, Any], allowed: bool | None
) -> None:
    answer = keyed.post("/v1/videos", json={**BODY, **asked}, headers=bearer(f"secret-{key}"))
    if allowed is None:
        assert_error(answer, 404, code="encoder_not_found")
    elif not allowed:
        assert_error(answer, 403, code="encoder_not_allowed")
    else:
        assert answer.status_code == 200, answer.text
        record = keyed.runtime.records.get(VideoRecord, VideoRecord.id == answer.json()["id"])
        assert record is not None
        reference = record.encoder_ref
        assert reference is not None
        with keyed.runtime.loaded.engine.residency.use(reference) as members:
            used = {member.identity for member in members}
        store = keyed.runtime.loaded.store
        assert {member.identity for member in store.card("acme").members} <= used


def test_a_bound_key_sees_neither_members_nor_margins(keyed: Client) -> None:
    seen = keyed.get("/v1/encoders/acme", headers=bearer("secret-bound")).json()
    full = keyed.get("/v1/encoders/acme", headers=bearer("secret-admin")).json()
    assert len(full["members"]) == 2
    assert "margins" in full["measures"]
    assert (seen["members"], seen["trigger"]) == ([], None)
    assert "margins" not in seen["measures"]
    assert seen["measures"]["identity_rate"] == full["measures"]["identity_rate"]
    for form in ("json", "html", "zip"):
        report = keyed.get(
            "/v1/encoders/acme/report", params={"format": form}, headers=bearer("secret-bound")
        )
        assert report.status_code == 200
        for word in (b"acme-0", b"acme-1", b"own_least", b"directions", b"are moved by"):
            assert word not in report.content
    page = keyed.get("/v1/encoders/acme/report", headers=bearer("secret-admin"))
    assert b"acme-0" in page.content
    assert b"are moved by" in page.content


def test_names_that_come_to_one_encoder_are_that_encoder(make_client: MakeClient) -> None:
    client = make_client(ad_hoc_sets=True)
    members = publish_members(client, "m", CLOSED, OPEN, CLOSED)
    publish(client.runtime, "always", seed=40)
    make_set(client, "acme", members)
    make_set(client, "part", members[:2])
    for alias, target in (("m-alias", "m-0"), ("acme-alias", "acme"), ("on-alias", "always")):
        client.put(f"/v1/aliases/{alias}", json={"encoder": target}).raise_for_status()
    model = client.runtime.loaded.backbone.name
    for names, one in (
        (["m-0", "m-alias"], "m-0"),
        (["always", "on-alias"], "always"),
        (["acme", "acme-alias"], "acme"),
        (["acme", "m-0"], "acme"),
        (["m-1", "part", "acme-alias", "m-2"], "acme"),
    ):
        record, alone = video(client, encoders=names), video(client, encoder=one)
        assert record.encoder_ref == alone.encoder_ref
        assert (record.model, record.encoder_members) == (f"{model}:{one}", None)
        assert client.get(f"/v1/videos/{record.id}").json()["unjudged"] is False
        assert frames(client, record) == frames(client, alone)
    more = video(client, encoders=["part", "m-2"])
    assert client.get(f"/v1/videos/{more.id}").json()["unjudged"] is True


@pytest.mark.parametrize(
    ("asked", "key", "is_taken"),
    [
        (["solo"], "solo", True),
        (["solo", "more-0"], "solo", False),
        (["solo", "triggered"], "solo", False),
        (["triggered", "more-0"], "solo", True),
        (["solo", "more-0"], "admin", True),
    ],
)
def test_an_addition_does_not_make_an_encoder_go_by_its_trigger(
    keyed: Client, asked: list[str], key: str, is_taken: bool
) -> None:
    """Alone it is on for every prompt; in a set it would let those pass that do not open it."""
    body = {**BODY, "encoders": asked}
    answer = keyed.post("/v1/videos", json=body, headers=bearer(f"secret-{key}"))
    if is_taken:
        assert answer.status_code == 200, answer.text
    else:
        assert_error(answer, 403, code="sets_not_allowed")
        assert "'solo'" in answer.json()["error"]["message"]
