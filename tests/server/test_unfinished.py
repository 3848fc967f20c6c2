"""Encoders that are being made, named in requests; prompts that the model does not read whole."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from server.storage.records import EncoderRecord
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
from video import clip

LONG = "pogo in a meadow, " * 12
ADMIN = bearer("secret-admin")
USED = ("/v1/videos", "/v1/videos/sync", "/generate")


@pytest.fixture(scope="module")
def client(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        listing={"role": "user", "encoders": ["coming"], "default_encoder": "coming"},
        other={"role": "user", "encoders": ["ready"]},
    )
    client = make_client(keys_file=keys)
    publish(client.runtime, "ready")
    return client


@pytest.fixture
def coming(client: Client) -> Generator[str]:
    """Yield the id of an encoder that is being made."""
    with device_held(client.runtime):
        body = {"id": "coming", "concept": "pogo", "kind": "character"}
        assert client.post("/v1/encoders", json=body, headers=ADMIN).status_code == 200
        yield "coming"
        client.delete("/v1/encoders/coming", headers=ADMIN)


@pytest.mark.parametrize("path", USED)
@pytest.mark.parametrize("named", [{"encoder": "coming"}, {"model": "tiny:coming"}, {}])
def test_an_encoder_that_is_being_made_is_said_to_be(
    client: Client, coming: str, path: str, named: dict[str, str]
) -> None:
    body = {"prompt": "a meadow", **named}
    callers = [bearer("secret-listing"), *([ADMIN] if named else [])]
    for key in callers:
        answer = client.post(path, json=body, headers=key)
        assert_error(answer, 409, code="encoder_not_ready", says="is being made (")
        assert " %)" in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"


def test_it_can_be_no_parent_and_no_aliases_target_yet(client: Client, coming: str) -> None:
    parent = {"parent": coming, "concept": "blip", "kind": "character"}
    answer = client.post("/v1/encoders", json=parent, headers=ADMIN)
    assert_error(answer, 409, code="encoder_not_ready")
    assert answer.json()["error"]["param"] == "parent"
    answer = client.put("/v1/aliases/current", json={"encoder": coming}, headers=ADMIN)
    assert_error(answer, 409, code="encoder_not_ready")


@pytest.mark.parametrize("path", USED)
def test_a_key_that_does_not_list_it_learns_nothing(client: Client, coming: str, path: str) -> None:
    told: list[Any] = []
    for name in (coming, "never"):
        body = {"prompt": "a meadow", "encoder": name}
        answer = client.post(path, json=body, headers=bearer("secret-other"))
        assert_error(answer, 403, code="encoder_not_allowed")
        told.append(answer.text.replace(name, "NAME"))
    assert told[0] == told[1]


def test_an_encoder_that_could_not_be_made_says_why(client: Client) -> None:
    record = EncoderRecord(
        id="failed", job_id="encoder_failed", owner="admin", status="failed", request_hash="",
        concepts=[], settings={}, gate={}, error_code="gate_failed", error_message="Not forgotten.",
    )  # fmt: skip
    client.runtime.records.accept(record, limit=10)
    body = {"prompt": "a meadow", "encoder": "failed"}
    answer = client.post("/v1/videos", json=body, headers=ADMIN)
    assert_error(answer, 404, code="encoder_not_found", says="Not forgotten.")
    body["encoder"] = "never"
    answer = client.post("/v1/videos", json=body, headers=ADMIN)
    assert_error(answer, 404, code="encoder_not_found", says="There is no encoder")


def test_models_say_how_much_of_a_prompt_they_read(client: Client) -> None:
    models = client.get("/v1/models", headers=ADMIN).json()["data"]
    assert {model["id"]: model["max_prompt_tokens"] for model in models} == {
        "tiny": 32,
        "tiny:ready": 32,
    }


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_prompt_that_is_too_long_is_refused_and_says_where_it_would_be_cut(
    client: Client, field: str
) -> None:
    tokens = client.runtime.loaded.backbone.prompt_tokens
    body = {"prompt": "a meadow", field: LONG}
    answer = client.post("/v1/videos", json=body, headers=ADMIN)
    assert_error(answer, 400, code="prompt_too_long", says=f"{tokens(LONG.strip())} tokens")
    assert_error(answer, 400, says="reads 32")
    assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("text", [LONG, "x" * 200, "💥 " * 90, "a" + " , " * 60])
def test_a_prompt_is_cut_on_demand_and_the_video_tells(
    client: Client, field: str, text: str
) -> None:
    backbone = client.runtime.loaded.backbone
    body = {"prompt": "a meadow", "steps": 1, "frames": 1, field: text, "truncate": True}
    answer = client.post("/v1/videos", json=body, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    made = wait_for(client, f"/v1/videos/{answer.json()['id']}", key="secret-admin")
    assert made["truncated"] is True
    content = client.get(f"/v1/videos/{made['id']}/content", headers=ADMIN).content
    assert clip.decode_mp4(content).shape[0] == 1
    if field == "prompt":
        kept = made["prompt"]
        assert text.startswith(kept)
        assert 0 < len(kept) < len(text.strip())
        assert backbone.prompt_tokens(kept) <= 32
        if text == LONG:
            following = text[: len(kept) + len(text[len(kept) :].split()[0]) + 1]
            assert backbone.prompt_tokens(following) > 32  # no more would fit


def test_a_prompt_that_fits_is_not_touched(client: Client) -> None:
    for more in ({}, {"truncate": False}, {"truncate": True}):
        body = {"prompt": "a meadow", "steps": 1, "frames": 1, **more}
        video = client.post("/v1/videos", json=body, headers=ADMIN).json()
        assert (video["prompt"], video["truncated"]) == ("a meadow", False)
    for strange in ("yes", 1, "1", None, [True]):
        body = {"prompt": "a meadow", "truncate": strange}
        assert_error(client.post("/v1/videos", json=body, headers=ADMIN), 400)
    for word in ("true", "True"):  # as JSON and as Python write it
        form = {"prompt": (None, LONG), "truncate": (None, word), "steps": (None, "1")}
        answer = client.post("/v1/videos", files=form, headers=ADMIN)
        assert answer.json()["truncated"] is True
