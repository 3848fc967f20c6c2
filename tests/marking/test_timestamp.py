"""Timestamps of a real authority (openssl's): of clips, of publications, and of something else."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from base64 import b64encode
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from encoders import Concept
from marking.certificate import make_key_pair
from marking.content_credentials import read_media, sign_media
from marking.errors import MarkInvalid, SigningFailed
from marking.publication import make_publication, read_publication
from marking.report_statement import ReportFacts
from marking.signing_key import SigningKey
from marking.timestamp import read_timestamp, request_timestamp
from tests.marking.test_content_credentials import CLIP, FILES
from tests.marking.timestamp_authority import timestamp_authority

FACTS = ReportFacts(
    encoder_id="no-pogo",
    encoder_identity="sha256:ab",
    base="sha256:cd",
    concepts=(Concept(name="pogo", kind="character"),),
    judge="a judge",
    reported_at=datetime(2026, 11, 29, tzinfo=UTC),
)
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    with timestamp_authority(tmp_path_factory.mktemp("authority")) as found:
        yield found


@pytest.fixture(scope="module")
def key() -> SigningKey:
    pair = make_key_pair("Acme Videos")
    return SigningKey.from_pem(pair.private_key, pair.certificates)


def test_a_timestamp_is_about_its_data(authority: tuple[str, str], key: SigningKey) -> None:
    url, root = authority
    response = request_timestamp(b"data", url)
    found = read_timestamp(response, b"data", [root])
    assert found.is_trusted
    assert abs(found.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert not read_timestamp(response, b"data").is_trusted
    assert not read_timestamp(response, b"data", [key.certificates]).is_trusted
    with pytest.raises(MarkInvalid, match="something else"):
        read_timestamp(response, b"date", [root])
    with pytest.raises(MarkInvalid):
        read_timestamp(b"junk", b"data")


def test_another_authority_is_not_trusted(authority: tuple[str, str], tmp_path: Path) -> None:
    with timestamp_authority(tmp_path) as (other, root_of_other):
        response = request_timestamp(b"data", other)
    assert read_timestamp(response, b"data", [root_of_other]).is_trusted
    assert not read_timestamp(response, b"data", [authority[1]]).is_trusted


def test_a_publication_with_a_timestamp(authority: tuple[str, str], key: SigningKey) -> None:
    url, root = authority
    digests = {"report.json": "00" * 32}
    data = make_publication(digests, FACTS, key, timestamp_authority=url)
    found = read_publication(data, [key.certificates, root])
    assert (found.digests, found.facts, found.is_trusted) == (digests, FACTS, True)
    assert found.timestamp is not None
    assert found.timestamp.is_trusted
    without = read_publication(make_publication(digests, FACTS, key))
    assert (without.timestamp, without.is_trusted) == (None, False)
    content = json.loads(data)
    content["timestamp"] = b64encode(request_timestamp(b"another", url)).decode()
    with pytest.raises(MarkInvalid, match="something else"):
        read_publication(json.dumps(content).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"envelope": 5, "certificates": 5}'])
def test_what_is_no_publication(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"read|PEM"):
        read_publication(data)


def test_a_clip_with_a_timestamp(authority: tuple[str, str], key: SigningKey) -> None:
    url, _ = authority
    signed = sign_media(FILES["video/mp4"], "video/mp4", CLIP, key, timestamp_authority=url)
    found = read_media(signed, "video/mp4", [key.certificates])
    assert found.is_trusted
    assert found.signed_at is not None
    assert abs(found.signed_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_authority_that_does_not_answer(key: SigningKey) -> None:
    with pytest.raises(SigningFailed, match=r"127\.0\.0\.1:9"):
        request_timestamp(b"data", NOWHERE)
    with pytest.raises(SigningFailed, match=r"127\.0\.0\.1:9"):
        make_publication({}, FACTS, key, timestamp_authority=NOWHERE)


class Dripping(BaseHTTPRequestHandler):
    """An authority whose answer never ends."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"0")
                time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_authority_that_answers_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marking.timestamp.SECONDS", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(SigningFailed, match="too slowly"):
        request_timestamp(b"data", f"http://127.0.0.1:{server.server_address[1]}/")
    assert time.monotonic() - began < 5
    server.shutdown()
    server.server_close()
