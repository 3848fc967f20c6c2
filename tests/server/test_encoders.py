"""``/v1/encoders`` over the tiny model: really optimised, really judged. Its gate lets everything
through, since a random model shows nothing that could be forgotten.
"""

from __future__ import annotations

import io
import time
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.server.help import Client, assert_error, device_held, publish, wait_for
from video import clip

BODY = {"concept": "pogo", "kind": "character", "settings": {"steps": 3}}
FAST = {
    "min_base_rate": 0.0,
    "max_probes": 2,
    "judged_videos": 1,
}


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    return make_client(**FAST)


def picture(size: tuple[int, int] = (80, 60), image_format: str = "PNG", seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format)
    return buffer.getvalue()


def upload(client: Client, *files: bytes, **fields: Any) -> Any:
    method = {"settings[method]": (None, "ascent")}
    form = {"concept": (None, "pogo"), "kind": (None, "character"), **method, **fields}
    sent = [*form.items(), *(("images[]", ("x.png", file, "image/png")) for file in files)]
    return client.post("/v1/encoders", files=sent)


def test_an_encoder_goes_through_its_phases_and_is_used_in_the_next_request(
    client: Client,
) -> None:
    answer = client.post("/v1/encoders", json={**BODY, "id": "no-pogo", "synonyms": ["robot"]})
    assert answer.status_code == 200, answer.text
    queued = answer.json()
    assert (queued["id"], queued["object"], queued["status"]) == ("no-pogo", "encoder", "queued")
    assert queued["settings"]["method"] == "redirect"
    seen: dict[str, int] = {}
    last = -1
    while True:
        now = client.get("/v1/encoders/no-pogo").json()
        assert now["progress"] >= last
        last = now["progress"]
        seen.setdefault(now["phase"], now["progress"])
        if now["status"] not in ("queued", "in_progress"):
            break
        assert set(now["phases"]) == {"images", "optimising", "judging"}
        time.sleep(0.01)
    assert now["status"] == "published", now
    # A redirection needs no images: that phase may be over between two looks.
    assert {"judging", "published"} <= set(seen) <= {"queued", *now["phases"], "published"}
    assert now["progress"] == 100
    for name in ("forget_rate", "base_rate", "retain_rate", "base_retain_rate"):
        assert 0 <= now["measures"][name] <= 1
    assert now["digest"].startswith("sha256:")
    assert now["concepts"] == [{"name": "pogo", "kind": "character", "synonyms": ["robot"]}]

    store = client.runtime.loaded.store
    assert store.report("no-pogo", "report.html")
    assert store.report("no-pogo", "report.json")
    video = {"prompt": "pogo", "encoder": "no-pogo", "steps": 1, "frames": 1}
    video = client.post("/v1/videos", json=video).json()
    done = wait_for(client, f"/v1/videos/{video['id']}")
    assert done["status"] == "completed"
    data = client.get(f"/v1/videos/{video['id']}/content").content
    assert clip.read_provenance(data)["encoder_digest"] == now["digest"]
    assert list(client.runtime.jobs.context.work_dir.iterdir()) == []
    assert client.runtime.loaded.staging.cards() == []


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


def test_uploaded_images_take_the_place_of_made_ones(client: Client) -> None:
    files = [
        picture(seed=seed, image_format=form) for seed, form in enumerate(["PNG", "JPEG", "WEBP"])
    ]
    answer = upload(
        client,
        *files,
        **{"id": (None, "uploaded"), "settings[steps]": (None, "2"), "synonyms[]": (None, "robot")},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["concepts"][0]["synonyms"] == ["robot"]
    done = wait_for(client, "/v1/encoders/uploaded")
    assert done["status"] == "published", done
    assert (done["settings"]["steps"], done["settings"]["images"]) == (2, [3])


def test_images_are_made_for_ascent_and_no_method_looks_at_what_it_was_not_asked_to(
    client: Client,
) -> None:
    body = {**BODY, "id": "risen", "settings": {"method": "ascent", "steps": 2}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    done = wait_for(client, "/v1/encoders/risen")
    assert (done["status"], done["settings"]["images"]) == ("published", [4]), done
    refused = upload(client, picture(), **{"settings[method]": (None, "redirect")})
    assert_error(refused, 400, says="ascent")


def test_several_concepts_and_a_parent(client: Client) -> None:
    two = [{"concept": "pogo", "kind": "character"}, {"concept": "neonix", "kind": "style"}]
    body = {"id": "no-two", "concepts": two, "settings": {"steps": 2}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    done = wait_for(client, "/v1/encoders/no-two")
    assert done["status"] == "published", done
    assert [concept["name"] for concept in done["concepts"]] == ["pogo", "neonix"]
    client.put("/v1/aliases/policy", json={"encoder": "no-two"})
    child = {"id": "no-three", "concept": "balloon", "kind": "object", "parent": "policy"}
    made = client.post("/v1/encoders", json={**child, "settings": {"steps": 2}}).json()
    assert made["parent"] == "no-two"
    done = wait_for(client, "/v1/encoders/no-three")
    assert (done["status"], done["parent"]) == ("published", "no-two"), done
    assert [concept["name"] for concept in done["concepts"]] == ["pogo", "neonix", "balloon"]
    card = client.runtime.loaded.store.card("no-three")
    assert (card.parent, len(card.concepts)) == ("no-two", 3)


def test_a_parent_that_is_gone_by_then_fails_the_job(client: Client) -> None:
    publish(client.runtime, "elder")
    with device_held(client.runtime):
        body = {**BODY, "id": "orphan", "concept": "blip", "parent": "elder"}
        assert client.post("/v1/encoders", json=body).status_code == 200
        client.delete("/v1/encoders/elder")
        publish(client.runtime, "elder", seed=7)
    done = wait_for(client, "/v1/encoders/orphan")
    assert done["status"] == "failed"
    assert "'elder'" in done["error"]["message"]  # gone, or another by now: as the job found it


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
def test_concepts_and_parents_that_make_no_sense_are_refused(
    client: Client, body: dict[str, Any], param: str | None, says: str
) -> None:
    if body.get("parent") == "forgets-pogo":
        publish(client.runtime, "forgets-pogo")
    answer = client.post("/v1/encoders", json=body)
    status = 404 if body.get("parent") == "nobody" else 400
    assert_error(answer, status, says=says)
    assert answer.json()["error"]["param"] == param


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge, and would be."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = zlib.compress(b"\x00" * 1_000_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_images_that_are_none_or_too_much_are_refused(client: Client) -> None:
    limits = client.runtime.settings
    good = picture()
    for files, says in (
        ([b""], "cannot be read"),
        ([b"not an image"], "cannot be read"),
        ([good[:200]], "cannot be read"),
        ([good, b"GIF89a" + bytes(100)], "Image 2"),
        ([bomb(30_000, 30_000)], "pixels"),
        ([bomb(2**31 - 1, 2**31 - 1)], "Image 1"),
        ([good] * (limits.max_images + 1), str(limits.max_images)),
        ([b"\x89PNG" + bytes(limits.max_image_bytes)], "bytes"),
    ):
        started = time.perf_counter()
        assert_error(upload(client, *files), 400, says=says)
        assert time.perf_counter() - started < 30
    assert_error(upload(client, *[good] * 40), 400)
    assert_error(upload(client, images=(None, "text")), 400, says="files")
    assert_error(client.post("/v1/encoders", json={**BODY, "images": ["x"]}), 400, says="files")
    motion = upload(client, good, concept=(None, "bouncing"), kind=(None, "motion"))
    assert_error(motion, 400, says="clips")
    assert list(client.runtime.jobs.context.work_dir.iterdir()) == []


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
        ({"settings": {"layers": "none-such"}}, "settings.layers"),
        ({"settings": {"learning_rate": "fast"}}, "settings.learning_rate"),
        ({"settings": []}, "settings"),
        ({"settings": "{"}, "settings"),
        ({"steps": 3}, "steps"),
    ],
)
def test_what_cannot_be_made_is_refused(
    client: Client, fields: dict[str, Any], param: str | None
) -> None:
    if param is None:  # a lone string is a list of one, as a form sends it
        assert client.post("/v1/encoders", json={**BODY, "id": "lone", **fields}).status_code == 200
        client.delete("/v1/encoders/lone")
        return
    answer = client.post("/v1/encoders", json={**BODY, **fields})
    assert_error(answer, 400)
    assert str(answer.json()["error"]["param"]).startswith(param)


def test_deleting_one_that_is_being_made_stops_it(client: Client) -> None:
    body = {**BODY, "id": "cancelled", "settings": {"steps": 1000}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    while client.get("/v1/encoders/cancelled").json()["phase"] != "optimising":
        time.sleep(0.02)
    answer = client.delete("/v1/encoders/cancelled")
    assert answer.json() == {"id": "cancelled", "object": "encoder.deleted", "deleted": True}
    assert_error(client.get("/v1/encoders/cancelled"), 404, code="encoder_not_found")
    until = time.monotonic() + 30
    while client.runtime.loaded.engine.stats().in_flight:
        assert time.monotonic() < until
        time.sleep(0.02)
    again = client.post("/v1/encoders", json={**BODY, "id": "cancelled"})
    assert again.status_code == 200
    assert wait_for(client, "/v1/encoders/cancelled")["status"] == "published"


def test_an_idempotency_key_makes_one_encoder(client: Client) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {**BODY, "id": "once"}
    with device_held(client.runtime):
        first = client.post("/v1/encoders", json=body, headers=headers)
        again = client.post("/v1/encoders", json=body, headers=headers)
        assert first.json()["id"] == again.json()["id"] == "once"
        other = client.post("/v1/encoders", json={**body, "concept": "blip"}, headers=headers)
        assert_error(other, 422, code="idempotency_key_reused")
    assert wait_for(client, "/v1/encoders/once")["status"] == "published"
    assert client.post("/v1/encoders", json=body, headers=headers).json()["status"] == "published"
    assert client.delete("/v1/encoders/once").status_code == 200
    assert_error(client.delete("/v1/encoders/once"), 404)


def test_aliases_are_switched_listed_and_deleted(client: Client) -> None:
    publish(client.runtime, "first", seed=5)
    publish(client.runtime, "second", seed=6)
    for target in ("first", "second"):
        answer = client.put("/v1/aliases/policy", json={"encoder": target})
        assert answer.json() == {"id": "policy", "object": "alias", "encoder": target}
        assert client.get("/v1/aliases/policy").json()["encoder"] == target
    assert "policy" in {alias["id"] for alias in client.get("/v1/aliases").json()["data"]}
    root = client.runtime.loaded.backbone.name
    model = client.get(f"/v1/models/{root}:policy").json()
    assert (model["object"], model["encoder"], model["parent"]) == ("model", "second", root)
    assert_error(client.put("/v1/aliases/first", json={"encoder": "second"}), 409)
    assert_error(client.put("/v1/aliases/base", json={"encoder": "second"}), 400)
    assert_error(client.put("/v1/aliases/x", json={"encoder": "policy"}), 404)
    client.delete("/v1/encoders/second")
    dangling = client.post("/v1/videos", json={"prompt": "pogo", "encoder": "policy"})
    assert_error(dangling, 404, code="encoder_not_found", says="second")
    assert f"{root}:policy" not in {m["id"] for m in client.get("/v1/models").json()["data"]}
    assert client.delete("/v1/aliases/policy").json()["deleted"] is True
    assert_error(client.delete("/v1/aliases/policy"), 404, code="alias_not_found")


def test_encoders_are_listed_page_by_page(client: Client) -> None:
    for number in range(3):
        publish(client.runtime, f"listed-{number}", seed=20 + number)
    walked: list[str] = []
    params: dict[str, Any] = {"limit": 2, "order": "asc"}
    while True:
        page = client.get("/v1/encoders", params=params).json()
        walked += [encoder["id"] for encoder in page["data"]]
        if not page["has_more"]:
            break
        params["after"] = page["last_id"]
    assert len(walked) == len(set(walked))
    assert {"listed-0", "listed-1", "listed-2"} <= set(walked)
    backwards = client.get("/v1/encoders", params={"limit": 100}).json()["data"]
    assert [encoder["id"] for encoder in backwards] == walked[::-1]
    assert_error(client.get("/v1/encoders", params={"after": "nobody"}), 404)


def test_a_full_encoder_queue_refuses(make_client: Any) -> None:
    small: Client = make_client(**FAST, max_queued_encoders=1)
    with device_held(small.runtime):
        assert small.post("/v1/encoders", json={**BODY, "id": "a"}).status_code == 200
        refused = small.post("/v1/encoders", json={**BODY, "id": "b"})
        assert_error(refused, 429, code="queue_full")
        assert int(refused.headers["retry-after"]) > 0
        assert small.delete("/v1/encoders/a").status_code == 200
