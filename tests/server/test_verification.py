"""`/v1/verify`: files of this server, of others, changed ones, and what each key learns."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from marking.certificate import make_key_pair
from marking.clip_statement import ClipStatement
from marking.content_credentials import sign_media
from marking.signing_key import SigningKey
from tests.marking.test_content_credentials import FILES
from tests.server.help import Client, assert_error, bearer, publish, wait_for, write_keys
from tests.unlearn.report_help import files_of

ADMIN, ACME, OTHER = (bearer(f"secret-{name}") for name in ("admin", "acme", "other"))
BODY = {"prompt": "a meadow", "encoder": "no-pogo", "steps": 1, "frames": 4}


@pytest.fixture(scope="module")
def client(make_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["no-pogo"]},
        other={"role": "user", "encoders": ["no-pogo"]},
    )
    client: Client = make_client(keys_file=keys, deleted_record_retention_seconds=3600)
    publish(client.runtime, "no-pogo", report=files_of())
    return client


def made(client: Client) -> tuple[str, bytes]:
    """Make a clip with acme's key; return its id and its mp4."""
    video = client.post("/v1/videos", json=BODY, headers=ACME).json()["id"]
    wait_for(client, f"/v1/videos/{video}", key="secret-acme")
    return video, content(client, video, "video")


def content(client: Client, video: str, variant: str) -> bytes:
    path = f"/v1/videos/{video}/content"
    return client.get(path, params={"variant": variant}, headers=ACME).content


@pytest.fixture(scope="module")
def clip(client: Client) -> tuple[str, bytes]:
    return made(client)


def verified(client: Client, data: bytes, headers: dict[str, str] = ADMIN) -> dict[str, Any]:
    answer = client.post("/v1/verify", files={"file": ("clip", data)}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("variant", ["video", "thumbnail", "spritesheet"])
def test_a_file_of_this_server(client: Client, clip: tuple[str, bytes], variant: str) -> None:
    video, _ = clip
    identity = client.runtime.loaded.store.card("no-pogo").identity
    found = verified(client, content(client, video, variant))
    assert "very bytes" in found["verdict"]
    assert (found["state"], found["signature"]["is_ours"]) == ("as_signed", True)
    assert found["clip"]["encoder_identity"] == found["record"]["encoder_identity"] == identity
    assert found["record"]["unchanged"] is True
    assert (found["record"]["video"], found["record"]["owner"]) == (video, "acme")


def test_what_each_key_learns(client: Client, clip: tuple[str, bytes]) -> None:
    video, data = clip
    owner = verified(client, data, ACME)["record"]
    assert (owner["video"], owner["owner"]) == (video, None)
    stranger = verified(client, data, OTHER)
    assert stranger["signature"]["is_ours"]
    record = stranger["record"]
    assert record["encoder_identity"]
    assert [record[name] for name in ("video", "owner", "completed_at")] == [None] * 3


def test_any_changed_byte_is_found(client: Client, clip: tuple[str, bytes]) -> None:
    _, data = clip
    for place in random.Random(0).sample(range(len(data)), 12):
        changed = bytearray(data)
        changed[place] ^= 1
        found = verified(client, bytes(changed))
        assert "very bytes" not in found["verdict"], place
        is_same = found["record"] is not None and found["record"]["unchanged"]
        assert not is_same
    appended = verified(client, data + b"\0\0\0\x08free")  # C2PA leaves such boxes out
    assert appended["state"] == "as_signed"
    assert "changed since" in appended["verdict"]


def test_a_report(client: Client) -> None:
    path = "/v1/encoders/no-pogo/report"
    data = client.get(path, params={"format": "zip"}, headers=ADMIN).content
    found = verified(client, data, OTHER)
    assert (found["state"], found["signature"]["is_ours"]) == ("as_signed", True)
    assert found["report"]["encoder_identity"]
    assert "report" in found["verdict"]
    changed = data.replace(b"PNG", b"PNH", 1)
    found = verified(client, changed)
    assert found["state"] == "changed"
    assert "clips/" in found["reason"]
    mine = client.get(path, params={"format": "zip"}, headers=ACME).content
    reduced = verified(client, mine, OTHER)
    assert reduced["state"] == "as_signed"


def test_files_of_others(client: Client) -> None:
    pair = make_key_pair("Palimpsest server")
    other = SigningKey.from_pem(pair.private_key, pair.certificates)
    statement = ClipStatement(id="video_1", encoder_identity=None, base="sha256:00")
    forged = verified(client, sign_media(FILES["video/mp4"], "video/mp4", statement, other))
    assert not forged["signature"]["is_ours"]
    assert forged["record"] is None
    assert "not signed by this server" in forged["verdict"]
    for data in FILES.values():
        assert verified(client, data)["state"] == "not_marked"
    for junk in (b"", b"x", b"PK\x03\x04" + b"x" * 100, b"\0\0\0\x08ftyp", b"%PDF-1.4"):
        assert verified(client, junk)["state"] in ("unreadable", "changed", "not_marked")


def test_a_deleted_video(client: Client) -> None:
    video, data = made(client)
    assert client.delete(f"/v1/videos/{video}", headers=ACME).status_code == 200
    record = verified(client, data)["record"]
    assert (record["deleted"], record["unchanged"], record["video"]) == (True, True, video)


def test_malformed_requests(client: Client) -> None:
    post = client.post
    assert_error(post("/v1/verify", headers=ADMIN, json={}), 400)
    assert_error(post("/v1/verify", headers=ADMIN, data={"file": "text"}), 400)
    two = {"file": ("a", b"a"), "more": ("b", b"b")}
    assert_error(post("/v1/verify", headers=ADMIN, files=two), 400)
    assert_error(post("/v1/verify", files={"file": ("a", b"a")}), 401)
    large = {"file": ("a", bytes(33 << 20))}
    assert_error(post("/v1/verify", headers=ACME, files=large), 413)


def test_a_file_that_takes_too_long_holds_up_nobody(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marking.apart.SECONDS", 0.01)
    began = time.monotonic()
    found = verified(client, b"\0\0\0\x08ftyp" + bytes(1000))
    assert found["state"] == "unreadable"
    assert "limits" in found["reason"]
    assert time.monotonic() - began < 5


def test_keys_that_were_rotated_and_revoked(client: Client) -> None:
    first_video, before = made(client)
    keys = client.runtime.storage.signing_keys
    first = keys.active().key_id
    second = keys.rotate()
    _, after = made(client)
    assert verified(client, before)["signature"]["key"] == first
    assert verified(client, after)["signature"]["key"] == second
    keys.revoke(first)
    assert keys.active().key_id == second
    old = verified(client, before)
    assert old["signature"]["revoked_at"] is not None
    assert "very bytes" in old["verdict"]
    thumbnail = verified(client, content(client, first_video, "thumbnail"))
    assert "very bytes" in thumbnail["verdict"]
    assert "very bytes" in verified(client, after)["verdict"]
