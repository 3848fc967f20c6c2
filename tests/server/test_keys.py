"""Access by key: a bound key gets its encoders and nothing else, by any route or field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from server.auth.guard import PUBLIC_PATHS
from tests.server.help import Client, assert_error, bearer, publish, wait_for, write_keys
from video import clip

ADMIN, ACME, OTHER, TWO, FREE = (
    f"secret-{name}" for name in ("admin", "acme", "other", "two", "free")
)
QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}


@pytest.fixture(scope="module")
def server(make_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a server with these keys.

    `acme` is bound to an alias, `other` to an encoder, `two` to two; `free` may use everything.
    """
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["acme-policy"]},
        other={"role": "user", "encoders": ["no-blip"]},
        two={"role": "user", "encoders": ["no-pogo", "no-blip"]},
        lost={"role": "user", "encoders": ["not-made"]},
        free={"role": "user", "encoders": ["*"]},
    )
    client: Client = make_client(keys_file=keys)
    publish(client.runtime, "no-pogo", seed=1)
    publish(client.runtime, "no-blip", seed=2)
    for name, target in (("acme-policy", "no-pogo"), ("other-policy", "no-blip")):
        answer = client.put(f"/v1/aliases/{name}", json={"encoder": target}, headers=bearer(ADMIN))
        assert answer.status_code == 200, answer.text
    return client


def encoder_of(client: Client, video_id: str, key: str) -> str:
    done = wait_for(client, f"/v1/videos/{video_id}", key=key)
    assert done["status"] == "completed", done
    data = client.get(f"/v1/videos/{video_id}/content", headers=bearer(key)).content
    digest = clip.read_provenance(data)["encoder_identity"]
    names = {card.digest: card.id for card in client.runtime.loaded.store.cards()}
    return "base" if digest is None else names[digest]


def post(client: Client, key: str, as_form: bool, **fields: Any) -> Any:
    body = {**QUICK, **fields}
    if as_form:
        form = {name: (None, str(value)) for name, value in body.items()}
        return client.post("/v1/videos", files=form, headers=bearer(key))
    return client.post("/v1/videos", json=body, headers=bearer(key))


def root(client: Client) -> str:
    return client.runtime.loaded.backbone.name


def every_way_to_name(client: Client, name: str) -> Iterator[dict[str, str]]:
    model = root(client)
    yield {"encoder": name}
    yield {"model": f"{model}:{name}"}
    yield {"model": model, "encoder": name}
    yield {"model": f"{model}:{name}", "encoder": name}


def routes(client: Client) -> list[tuple[str, str]]:
    """Return method and path of every route of the OpenAPI document, with its parameters filled."""
    document = client.get("/openapi.json").json()
    found: list[tuple[str, str]] = []
    for path, operations in document["paths"].items():
        for part in ("video_id", "encoder_id", "model_id", "name"):
            path = path.replace(f"{{{part}}}", "no-pogo")
        found += [(method.upper(), path) for method in operations]
    return found


def test_without_a_known_key_no_route_answers(server: Client) -> None:
    checked = routes(server)
    assert len(checked) >= 16
    for method, path in [*checked, ("HEAD", "/v1/videos/x/content"), ("GET", "/docs.json")]:
        if path in PUBLIC_PATHS:
            continue
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            answer = server.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            if method != "HEAD":
                assert_error(answer, 401, code="invalid_api_key")


@pytest.mark.parametrize("as_form", [False, True])
@pytest.mark.parametrize("key", [ACME, OTHER, TWO])
def test_a_bound_key_is_refused_the_base_and_every_other_encoder(
    server: Client, key: str, as_form: bool
) -> None:
    allowed = {ACME: {"acme-policy", "no-pogo"}, OTHER: {"no-blip"}, TWO: {"no-pogo", "no-blip"}}
    names = {"base", "no-pogo", "no-blip", "acme-policy", "other-policy", "never-made", "Base", "*"}
    for name in sorted(names - allowed[key]):
        for fields in every_way_to_name(server, name):
            answer = post(server, key, as_form, **fields)
            assert_error(answer, 403, code="encoder_not_allowed")
    # An empty name is a name, not the absence of one.
    for fields in ({"encoder": ""}, {"model": f"{root(server)}:"}):
        assert_error(post(server, key, as_form, **fields), 403, code="encoder_not_allowed")


@pytest.mark.parametrize("as_form", [False, True])
def test_a_bound_key_that_names_none_gets_its_default(server: Client, as_form: bool) -> None:
    for key, encoder in ((ACME, "no-pogo"), (OTHER, "no-blip")):
        for fields in ({}, {"model": root(server)}):
            answer = post(server, key, as_form, **fields)
            assert answer.status_code == 200, answer.text
            assert answer.json()["model"] == f"{root(server)}:{encoder}"
            assert encoder_of(server, answer.json()["id"], key) == encoder
    assert_error(post(server, TWO, as_form), 400, code="encoder_required")


def test_a_bound_key_may_name_its_encoders_in_every_way(server: Client) -> None:
    for key, name, encoder in (
        (ACME, "acme-policy", "no-pogo"),
        (ACME, "no-pogo", "no-pogo"),
        (TWO, "no-blip", "no-blip"),
    ):
        for fields in every_way_to_name(server, name):
            answer = post(server, key, False, **fields)
            assert answer.status_code == 200, answer.text
            assert encoder_of(server, answer.json()["id"], key) == encoder


def test_null_is_naming_none(server: Client) -> None:
    answer = post(server, ACME, False, encoder=None, model=None)
    assert encoder_of(server, answer.json()["id"], ACME) == "no-pogo"


def test_a_key_whose_encoder_is_not_there_gets_an_error_never_the_base(server: Client) -> None:
    for fields in ({}, {"encoder": "not-made"}):
        assert_error(post(server, "secret-lost", False, **fields), 404, code="encoder_not_found")


def test_an_alias_pointed_elsewhere_takes_its_key_along(server: Client) -> None:
    point = {"encoder": "no-blip"}
    server.put("/v1/aliases/acme-policy", json=point, headers=bearer(ADMIN))
    try:
        assert post(server, ACME, False).json()["model"].endswith(":no-blip")
        assert_error(post(server, ACME, False, encoder="no-pogo"), 403)
    finally:
        point = {"encoder": "no-pogo"}
        server.put("/v1/aliases/acme-policy", json=point, headers=bearer(ADMIN))
    assert_error(post(server, ACME, False, encoder="no-blip"), 403)


def test_free_and_admin_keys_use_everything(server: Client) -> None:
    for key in (FREE, ADMIN):
        for fields, encoder in (
            ({}, "base"),
            ({"encoder": "base"}, "base"),
            ({"encoder": "other-policy"}, "no-blip"),
        ):
            answer = post(server, key, False, **fields)
            assert encoder_of(server, answer.json()["id"], key) == encoder


def test_lists_show_a_key_its_own_encoders_only(server: Client) -> None:
    def ids(path: str, key: str) -> set[str]:
        return {item["id"] for item in server.get(path, headers=bearer(key)).json()["data"]}

    model = root(server)
    assert ids("/v1/models", ACME) == {f"{model}:no-pogo", f"{model}:acme-policy"}
    assert ids("/v1/models", OTHER) == {f"{model}:no-blip"}
    assert ids("/v1/models", FREE) == {
        model,
        *(f"{model}:{name}" for name in ("no-pogo", "no-blip", "acme-policy", "other-policy")),
    }
    assert ids("/v1/encoders", ACME) == {"no-pogo"}
    assert ids("/v1/encoders", OTHER) == {"no-blip"}
    assert ids("/v1/encoders", ADMIN) == {"no-pogo", "no-blip"}
    assert ids("/v1/aliases", ACME) == {"acme-policy"}
    assert ids("/v1/aliases", OTHER) == set()
    assert ids("/v1/aliases", FREE) == {"acme-policy", "other-policy"}


def test_an_encoder_that_a_key_may_not_use_looks_absent(server: Client) -> None:
    model = root(server)
    for path, there, missing in (
        ("/v1/encoders/{}", "no-blip", "never-made"),
        ("/v1/models/{}", f"{model}:no-blip", f"{model}:never-made"),
        ("/v1/models/{}", model, "never-made"),
        ("/v1/aliases/{}", "other-policy", "never-made"),
    ):
        forbidden = server.get(path.format(there), headers=bearer(ACME))
        absent = server.get(path.format(missing), headers=bearer(ACME))
        assert_error(forbidden, 404)
        assert forbidden.json()["error"]["code"] == absent.json()["error"]["code"]
        assert server.get(path.format(there), headers=bearer(FREE)).status_code == 200


def test_a_users_key_makes_and_deletes_no_encoders_and_no_aliases(server: Client) -> None:
    body = {"concept": "pogo", "kind": "character"}
    for key in (ACME, OTHER, TWO, FREE):
        for method, path, sent in (
            ("POST", "/v1/encoders", body),
            ("DELETE", "/v1/encoders/no-pogo", None),
            ("PUT", "/v1/aliases/acme-policy", {"encoder": "no-blip"}),
            ("PUT", "/v1/aliases/mine", {"encoder": "no-pogo"}),
            ("DELETE", "/v1/aliases/acme-policy", None),
            ("GET", "/metrics", None),
        ):
            answer = server.request(method, path, json=sent, headers=bearer(key))
            assert_error(answer, 403, code="forbidden")
    assert server.get("/metrics", headers=bearer(ADMIN)).status_code == 200


def test_a_video_belongs_to_the_key_that_made_it(server: Client) -> None:
    video = post(server, OTHER, False).json()["id"]
    wait_for(server, f"/v1/videos/{video}", key=OTHER)
    for key in (ACME, FREE, ADMIN):
        for method, path in (
            ("GET", f"/v1/videos/{video}"),
            ("GET", f"/v1/videos/{video}/content"),
            ("DELETE", f"/v1/videos/{video}"),
            ("GET", f"/v1/videos?after={video}"),
        ):
            assert_error(server.request(method, path, headers=bearer(key)), 404)
        assert server.head(f"/v1/videos/{video}/content", headers=bearer(key)).status_code == 404
        listed = server.get("/v1/videos?limit=100", headers=bearer(key)).json()["data"]
        assert video not in {item["id"] for item in listed}
    assert server.get(f"/v1/videos/{video}/content", headers=bearer(OTHER)).status_code == 200


def test_idempotency_keys_of_two_callers_are_two(server: Client) -> None:
    headers = {"Idempotency-Key": "same"}
    made = [
        server.post("/v1/videos", json=QUICK, headers={**headers, **bearer(key)}).json()
        for key in (ACME, OTHER)
    ]
    assert made[0]["id"] != made[1]["id"]
    assert made[1]["model"].endswith(":no-blip")


def test_public_pages_name_no_encoder_and_no_key(server: Client) -> None:
    for path in ("/", "/docs", "/openapi.json", "/health"):
        answer = server.get(path)
        assert answer.status_code == 200
        assert "no-blip" not in answer.text
        assert "acme" not in answer.text
