"""Requests to `/v1/encoders` that are refused: taken ids, bad concepts, parents and settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.help import Client, assert_error, device_held, publish

BODY = {"concept": "pogo", "kind": "character", "settings": {"steps": 3}}


def test_the_id_is_chosen_for_you_and_a_taken_one_is_refused(client: Client) -> None:
    publish(client.runtime, "taken")
    publish(client.runtime, "aliased")
    client.put("/v1/aliases/an-alias", json={"encoder": "aliased"})
    assert_error(
        client.post("/v1/encoders", json={**BODY, "id": "taken"}), 409, code="encoder_exists"
    )
    assert_error(
        client.post("/v1/encoders", json={**BODY, "id": "an-alias"}), 409, code="alias_exists"
    )
    with device_held(client.runtime):
        made = client.post("/v1/encoders", json=BODY).json()
        assert made["id"].startswith("no-pogo-")
        again = client.post("/v1/encoders", json={**BODY, "id": made["id"]})
        assert_error(again, 409, code="encoder_exists")
        alias = client.put(f"/v1/aliases/{made['id']}", json={"encoder": "taken"})
        assert_error(alias, 409, code="encoder_exists")
        assert client.delete(f"/v1/encoders/{made['id']}").status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({**BODY, "concepts": [{"concept": "blip", "kind": "character"}]}, None, "not both"),
        ({"kind": "character"}, None, "concept and kind"),
        ({"concepts": [{"concept": "blip"}]}, "concepts.0.kind", ""),
        ({"concepts": [{"concept": "blip", "kind": "character"}] * 2}, "concepts", "twice"),
        ({"concepts": [{"concept": "blip", "kind": "character"}] * 9}, "concepts", ""),
        ({**BODY, "parent": "nobody"}, "parent", "nobody"),
        ({**BODY, "parent": "../up"}, "parent", ""),
        ({**BODY, "parent": "forgets-pogo"}, "concepts", "already"),
    ],
)
def test_contradicting_concepts_and_unusable_parents_are_refused(
    client: Client, body: dict[str, Any], param: str | None, says: str
) -> None:
    if body.get("parent") == "forgets-pogo":
        publish(client.runtime, "forgets-pogo")
    answer = client.post("/v1/encoders", json=body)
    status = 404 if body.get("parent") == "nobody" else 400
    assert_error(answer, status, says=says)
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"concept": ""}, "concept"),
        ({"concept": "a" * 101}, "concept"),
        ({"concept": "unheard-of"}, "concept"),
        ({"kind": "animal"}, "kind"),
        ({"kind": "style"}, "concept"),
        ({"id": "base"}, "id"),
        ({"id": "../x"}, "id"),
        ({"id": "A"}, "id"),
        ({"synonyms": "robot"}, None),
        ({"synonyms": ["x"] * 17}, "synonyms"),
        ({"settings": {"stepz": 1}}, "settings.stepz"),
        ({"settings": {"steps": 0}}, "settings.steps"),
        ({"concept": "pogo " * 20}, "concept"),
        ({"synonyms": ["one-eyed robot " * 6]}, "synonyms"),
        ({"settings": {"steps": 1001}}, "settings.steps"),
        ({"settings": {"method": "magic"}}, "settings.method"),
        ({"settings": {"max_seconds": True}}, "settings.max_seconds"),
        ({"settings": {"triggered_alone": "yes"}}, "settings.triggered_alone"),
        ({"settings": {"layers": "none-such"}}, "settings.layers"),
        ({"settings": {"learning_rate": "fast"}}, "settings.learning_rate"),
        ({"settings": []}, "settings"),
        ({"settings": "{"}, "settings"),
        ({"steps": 3}, "steps"),
    ],
)
def test_a_refusal_names_the_field(
    client: Client, fields: dict[str, Any], param: str | None
) -> None:
    if param is None:  # a lone string is a list of one, as a form sends it
        assert client.post("/v1/encoders", json={**BODY, "id": "lone", **fields}).status_code == 200
        client.delete("/v1/encoders/lone")
        return
    answer = client.post("/v1/encoders", json={**BODY, **fields})
    assert_error(answer, 400)
    assert str(answer.json()["error"]["param"]).startswith(param)
    assert not answer.json()["error"]["message"].endswith("..")


def test_a_missing_kind_is_refused_with_all_kinds(client: Client) -> None:
    answer = client.post("/v1/encoders", json={"concept": "pogo"})
    assert_error(answer, 400, says="object, character, style, person, motion")


def test_infinity_is_a_setting_out_of_range(client: Client) -> None:
    """JSON has no infinity, but 1e999 is read as one."""
    text = '{"concept": "pogo", "kind": "character", "settings": {"max_seconds": 1e999}}'
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/encoders", content=text, headers=headers)
    assert_error(answer, 400, code="invalid_settings", says="must be 1 to 1000000")
    assert answer.json()["error"]["param"] == "settings.max_seconds"
