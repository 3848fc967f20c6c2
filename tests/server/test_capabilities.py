"""The model's limits and the key's rights, and how the model reads a prompt."""

from __future__ import annotations

from pathlib import Path

from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, write_keys


def test_requests_at_the_bounds_are_taken_and_beyond_them_refused(client: Client) -> None:
    found = client.get("/v1/capabilities").json()
    assert found["model"] == client.get("/v1/models").json()["data"][0]["id"]
    for field in ("steps", "frames", "fps", "guidance"):
        bounds = found[field]
        assert bounds["least"] <= bounds["default"] <= bounds["most"]
        for value in (bounds["least"], bounds["most"]):
            request = {"prompt": "a star", "steps": 1, "frames": 1, field: value}
            answer = client.post("/v1/videos", json=request)
            assert answer.status_code == 200, answer.text
            assert client.delete(f"/v1/videos/{answer.json()['id']}").status_code == 200
        over = client.post("/v1/videos", json={"prompt": "a star", field: bounds["most"] + 1})
        assert_error(over, 400)
    assert found["default_size"] in found["sizes"]
    for size in found["sizes"]:
        answer = client.post("/v1/videos", json={"prompt": "x", "frames": 1, "size": size})
        assert answer.status_code == 200, answer.text


def test_examples_are_the_models_own_and_fit(client: Client) -> None:
    found = client.get("/v1/capabilities").json()
    assert len(found["examples"]) >= 3
    for prompt in found["examples"]:
        assert client.post("/v1/prompts/check", json={"prompt": prompt}).json()["fits"]


def test_pictures_are_taken_up_to_the_limits_that_are_told(make_client: MakeClient) -> None:
    limits = {
        "max_images": 3,
        "max_image_bytes": 4000,
        "max_image_pixels": 500,
        "max_body_bytes": 100_000,
    }
    found = make_client(**limits).get("/v1/capabilities").json()
    assert {name: found[name] for name in limits} == limits


def test_a_key_is_told_what_it_may_do(make_client: MakeClient, tmp_path: Path) -> None:
    keys = write_keys(
        tmp_path / "keys.json",
        boss={"role": "admin"},
        tenant={"role": "user", "encoders": ["no-pogo"]},
    )
    client = make_client(keys_file=keys)
    caller = client.get("/v1/capabilities", headers=bearer("secret-tenant")).json()["caller"]
    assert caller == {
        "id": "tenant",
        "role": "user",
        "needed": True,
        "base": False,
        "default_encoder": "no-pogo",
        "sets": False,
    }
    caller = client.get("/v1/capabilities", headers=bearer("secret-boss")).json()["caller"]
    assert (caller["role"], caller["base"]) == ("admin", True)


def test_a_prompt_is_counted_word_by_word(make_client: MakeClient) -> None:
    client = make_client()
    text = "pogo in a xylophonically meadow " + "and a star " * 40
    found = client.post("/v1/prompts/check", json={"prompt": text}).json()
    assert not found["fits"]
    assert found["tokens"] > found["max_prompt_tokens"]
    assert text.startswith(found["kept"])
    words = found["words"]
    assert [word["text"] for word in words[:3]] == ["pogo", "in", "a"]
    assert words[3]["tokens"] > 1
    assert words[0]["read"]
    assert not words[-1]["read"]
    assert client.post("/v1/prompts/check", json={"prompt": found["kept"]}).json()["fits"]
    assert client.post("/v1/prompts/check", json={"prompt": ""}).json()["words"] == []
    assert_error(client.post("/v1/prompts/check", json={"prompt": "a" * 2000}), 400, says="taken")
