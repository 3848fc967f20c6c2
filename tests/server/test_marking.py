"""Marking over HTTP: every file that leaves the server is signed, and tells nobody's secrets."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from marking.certificate import make_key_pair
from marking.content_credentials import MediaType, read_media
from marking.publication import make_publication
from marking.signed_zip import read_signed_zip
from marking.signing_key import SigningKey
from tests.server.help import Client, assert_error, bearer, publish, wait_for, write_keys
from tests.server.stored_help import encoder_folder

NAMES = ("admin", "acme-studio", "bound")
ADMIN, ACME, BOUND = (bearer(f"secret-{name}") for name in NAMES)
PROMPT = "a zebra in a quarry"
SECRETS = (PROMPT, "a zebra", "a quarry", "no-pogo", "acme-studio", "secret-")
"""Long enough that chance does not put them into the bytes of a clip."""
BODY = {"prompt": PROMPT, "encoder": "no-pogo", "steps": 1, "frames": 4}


@pytest.fixture(scope="module")
def client(make_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        **{"acme-studio": {"role": "user", "encoders": ["no-pogo"]}},
        bound={"role": "user", "encoders": ["no-mira"]},
    )
    client: Client = make_client(keys_file=keys, min_base_rate=0.0)
    publish(client.runtime, "no-pogo")
    made = {"id": "no-mira", "concept": "mira", "kind": "person", "settings": {"steps": 2}}
    answer = client.post("/v1/encoders", json=made, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    assert wait_for(client, "/v1/encoders/no-mira", key="secret-admin")["status"] == "published"
    return client


def media_of(client: Client, headers: dict[str, str]) -> Iterator[tuple[str, MediaType, bytes]]:
    """Yield every media file that a key gets by every route: its name, its type, its bytes."""
    made = client.post("/v1/videos", json=BODY, headers=headers).json()
    key = headers["Authorization"].split()[1]
    wait_for(client, f"/v1/videos/{made['id']}", key=key)
    types: dict[str, MediaType] = {
        "video": "video/mp4",
        "thumbnail": "image/webp",
        "spritesheet": "image/webp",
    }
    content = f"/v1/videos/{made['id']}/content"
    for variant, kind in types.items():
        answer = client.get(content, params={"variant": variant}, headers=headers)
        yield variant, kind, answer.content
    whole = client.get(content, headers={**headers, "Range": "bytes=0-"})
    assert whole.status_code == 206
    yield "range", "video/mp4", whole.content
    for route in ("/v1/videos/sync", "/generate"):
        answer = client.post(route, json=BODY, headers=headers)
        assert answer.headers["content-type"] == "video/mp4", answer.text
        yield route, "video/mp4", answer.content


def test_every_media_file_is_signed_and_tells_no_secret(client: Client) -> None:
    trusted = [row.certificates for row in client.runtime.storage.signing_keys.all()]
    identity = client.runtime.loaded.store.card("no-pogo").identity
    seen: set[str] = set()
    for headers in (ACME, ADMIN):
        for name, kind, data in media_of(client, headers):
            found = read_media(data, kind, trusted)
            assert found.is_trusted, name
            assert found.problems == ()
            assert found.clip is not None
            assert found.clip.encoder_identity == identity
            assert found.clip.base == client.runtime.loaded.backbone.text_encoder.fingerprint
            for secret in SECRETS:
                for written in (secret.encode(), secret.encode("utf-16-le")):
                    place = data.find(written)
                    assert place < 0, (name, secret, data[max(0, place - 40) : place + 40])
            seen.add(name)
    assert len(seen) == 6


def test_every_picture_of_a_report_is_signed(client: Client) -> None:
    trusted = [row.certificates for row in client.runtime.storage.signing_keys.all()]
    path = "/v1/encoders/no-mira/report"
    names = client.get(path, params={"format": "json"}, headers=ADMIN).json()["files"]
    with ZipFile(
        io.BytesIO(client.get(path, params={"format": "zip"}, headers=ADMIN).content)
    ) as zipped:
        zipped_clips = {
            name.removeprefix("clips/"): zipped.read(name)
            for name in zipped.namelist()
            if name.startswith("clips/")
        }
    assert {Path(name).suffix for name in names} == {".mp4", ".png"}
    assert zipped_clips.keys() == names.keys()
    identity = client.runtime.loaded.store.card("no-mira").identity
    for name in names:
        data = client.get(f"{path}/{name}", headers=ADMIN).content
        assert data == zipped_clips[name]
        found = read_media(data, "video/mp4" if name.endswith("mp4") else "image/png", trusted)
        assert found.is_trusted
        assert found.problems == ()
        assert found.clip is not None
        assert found.clip.encoder_identity == (None if "-base" in name else identity)
        for secret in ("no-mira", "mira", "admin"):
            assert secret.encode() not in data


def test_a_report_keeps_what_was_signed_when_it_was_published(client: Client) -> None:
    path = "/v1/encoders/no-mira/report"

    def zipped(headers: dict[str, str]) -> bytes:
        return client.get(path, params={"format": "zip"}, headers=headers).content

    keys = client.runtime.storage.signing_keys
    trusted = [row.certificates for row in keys.all()]
    found = read_signed_zip(zipped(ADMIN), trusted)
    card = client.runtime.loaded.store.card("no-mira")
    assert found.publication is not None
    assert found.publication.is_trusted
    assert found.publication.facts.encoder_identity == card.identity
    assert set(found.publication.digests) == {
        "report.json",
        "card.json",
        "encoder:overrides.safetensors",
    }
    old = keys.active().key_id
    keys.rotate()
    again = read_signed_zip(zipped(ADMIN), trusted)
    assert again.key_id != old
    assert not again.is_trusted, "the new key's certificate was not given"
    assert again.publication is not None
    assert again.publication.is_trusted, "the old one holds for what it signed"

    stored = encoder_folder(client.runtime, "no-mira")
    [report] = [name for name in stored.names() if name.endswith("/report/report.json")]
    honest = stored.read(report)
    stored.write(report, honest.replace(b'"failed": false', b'"failed": true ', 1))
    try:
        assert stored.read(report) != honest
        for headers in (ADMIN, BOUND):
            answer = client.get(path, params={"format": "zip"}, headers=headers)
            assert_error(answer, 404, says="damaged")
    finally:
        stored.write(report, honest)
    publication = report.replace("report.json", "publication.json")
    signed = stored.read(publication)
    other = make_key_pair("Palimpsest server")
    forger = SigningKey.from_pem(other.private_key, other.certificates)
    forged = make_publication(found.publication.digests, found.publication.facts, forger)
    for damage in (forged, None):
        stored.remove(publication)
        if damage is not None:
            stored.write(publication, damage)
        answer = client.get(path, params={"format": "zip"}, headers=ADMIN)
        assert_error(answer, 404, says="damaged")
    stored.write(publication, signed)
    assert read_signed_zip(zipped(ADMIN), trusted).publication is not None


def test_no_route_hands_out_media_that_these_tests_do_not_know(client: Client) -> None:
    """A new route with media has to be added to the tests above."""
    document = client.get("/openapi.json").json()
    media = {
        (path, method)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for answer in operation.get("responses", {}).values()
        for kind in answer.get("content", {})
        if kind.startswith(("video/", "image/")) or kind == "application/zip"
    }
    assert media == {
        ("/v1/videos/{video_id}/content", "get"),
        ("/v1/videos/sync", "post"),
        ("/generate", "post"),
        ("/v1/encoders/{encoder_id}/report", "get"),
        ("/v1/encoders/{encoder_id}/report/{file}", "get"),
        # Not marked (docs/MARKING.md).
        ("/v1/encoders/{encoder_id}/previews/{step}", "get"),
        ("/v1/encoders/{encoder_id}/failure/{file}", "get"),
    }
