"""Content credentials: in each kind of file, found when changed, with and without trust."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from marking.certificate import LIFETIME, make_key_pair
from marking.clip_statement import ClipStatement
from marking.content_credentials import MediaType, read_media, sign_media
from marking.errors import MarkInvalid, NotMarked, SigningFailed
from marking.signing_key import SigningKey
from video import clip
from video.clip import decode_mp4

CLIP = ClipStatement(id="video_1", encoder_identity="sha256:ab", base="sha256:cd")
FRAMES = np.random.default_rng(0).integers(0, 255, (6, 32, 48, 3)).astype(np.uint8)
FILES: dict[MediaType, bytes] = {
    "video/mp4": clip.encode_mp4(FRAMES, 8),
    "image/webp": clip.thumbnail(FRAMES),
    "image/png": clip.thumbnail(FRAMES, image_format="png"),
}
CONTENT: dict[MediaType, tuple[bytes, ...]] = {
    "video/mp4": (b"moov", b"mdat"),
    "image/webp": (b"VP8 ",),
    "image/png": (b"IDAT",),
}
TYPES = pytest.mark.parametrize("media_type", list(FILES))


def key_of(name: str, now: datetime | None = None) -> SigningKey:
    pair = make_key_pair(name, now)
    return SigningKey.from_pem(pair.private_key, pair.certificates)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return key_of("Acme Videos")


@TYPES
def test_a_signed_file_says_what_it_is(key: SigningKey, media_type: MediaType) -> None:
    signed = sign_media(FILES[media_type], media_type, CLIP, key)
    found = read_media(signed, media_type)
    assert (found.clip, found.signer, found.problems) == (CLIP, "Acme Videos", ())
    assert not found.is_trusted
    assert read_media(signed, media_type, [key.certificates]).is_trusted
    other = key_of("Acme Videos").certificates
    assert not read_media(signed, media_type, [other]).is_trusted
    assert read_media(signed, media_type, [other, key.certificates]).is_trusted


@TYPES
def test_a_readers_own_process_agrees(
    key: SigningKey, media_type: MediaType, tmp_path: Path
) -> None:
    """C2PA's own reader, without anything of ours."""
    path = tmp_path / "file"
    path.write_bytes(sign_media(FILES[media_type], media_type, CLIP, key))
    code = (
        "import sys, c2pa\n"
        "with open(sys.argv[2], 'rb') as file, c2pa.Reader(sys.argv[1], file) as reader:\n"
        "    print(reader.json())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, media_type, str(path)], capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    manifest = found["manifests"][found["active_manifest"]]
    assert found["validation_state"] == "Valid"
    assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
    [created] = assertions["c2pa.actions.v2"]["actions"]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert assertions["org.palimpsest.clip"] == CLIP.model_dump()


def test_the_frames_stay_as_they_are(key: SigningKey) -> None:
    signed = sign_media(FILES["video/mp4"], "video/mp4", CLIP, key)
    assert np.array_equal(decode_mp4(signed), decode_mp4(FILES["video/mp4"]))
    assert signed.index(b"moov") < signed.index(b"mdat")  # ready to stream


@TYPES
def test_a_changed_byte_is_found(key: SigningKey, media_type: MediaType) -> None:
    signed = sign_media(FILES[media_type], media_type, CLIP, key)
    for begin in (signed.rindex(mark) + 8 for mark in CONTENT[media_type]):
        for place in range(begin, begin + 60, 7):
            changed = bytearray(signed)
            changed[place] ^= 1
            try:
                found = read_media(bytes(changed), media_type, [key.certificates])
            except MarkInvalid:
                continue
            assert found.problems, place
            assert found.is_trusted, "the statement is still the signer's"
            assert found.clip == CLIP


@TYPES
def test_files_without_credentials(media_type: MediaType, key: SigningKey) -> None:
    with pytest.raises(NotMarked):
        read_media(FILES[media_type], media_type)
    for junk in (b"", b"x" * 100, FILES[media_type][:40]):
        with pytest.raises((MarkInvalid, NotMarked)):
            read_media(junk, media_type)
        with pytest.raises(SigningFailed):
            sign_media(junk, media_type, CLIP, key)


def test_credentials_of_others_have_no_clip(key: SigningKey) -> None:
    """Any signer can put any statement into a file: trust is by the certificate alone."""
    forged = sign_media(FILES["image/png"], "image/png", CLIP, key_of("Acme Videos"))
    found = read_media(forged, "image/png", [key.certificates])
    assert (found.clip, found.signer) == (CLIP, "Acme Videos")
    assert not found.is_trusted


def test_a_certificate_that_has_ended_does_not_sign() -> None:
    ended = key_of("Acme", datetime.now(UTC) - timedelta(days=6 * 365))
    with pytest.raises(SigningFailed, match="not valid"):
        sign_media(FILES["image/png"], "image/png", CLIP, ended)


def test_a_timestamp_authority_that_is_away(key: SigningKey) -> None:
    with pytest.raises(SigningFailed, match=r"127\.0\.0\.1:9"):
        sign_media(
            FILES["image/png"], "image/png", CLIP, key, timestamp_authority="http://127.0.0.1:9/"
        )


def test_a_key_that_cannot_sign_says_why(key: SigningKey) -> None:
    def locked(data: bytes) -> bytes:
        raise SigningFailed("the token is locked")

    with pytest.raises(SigningFailed, match="the token is locked"):
        sign_media(FILES["image/png"], "image/png", CLIP, SigningKey(key.certificates, locked))


def test_many_threads_sign_and_read(key: SigningKey) -> None:
    def one(number: int) -> str:
        statement = CLIP.model_copy(update={"id": f"video_{number}"})
        signed = sign_media(FILES["image/webp"], "image/webp", statement, key)
        found = read_media(signed, "image/webp", [key.certificates])
        assert found.is_trusted
        assert found.clip is not None
        return found.clip.id

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(200))) == [f"video_{i}" for i in range(200)]


@TYPES
def test_a_changed_statement_is_no_statement(key: SigningKey, media_type: MediaType) -> None:
    signed = sign_media(FILES[media_type], media_type, CLIP, key)
    for old, new in ((b"video_1", b"video_2"), (b"sha256:ab", b"sha256:ac"), (b"Acme", b"Evil")):
        changed = signed.replace(old, new)
        assert changed != signed
        try:
            found = read_media(changed, media_type, [key.certificates])
        except MarkInvalid:
            continue
        assert found.problems
        assert not (found.is_trusted and found.clip)


def test_a_certificate_that_has_ended_since_changes_nothing() -> None:
    """Sign with a certificate that ends in a moment, and read afterwards."""
    begin = datetime.now(UTC) - LIFETIME + timedelta(minutes=10, seconds=2)
    key = key_of("Acme", begin)
    signed = sign_media(FILES["image/png"], "image/png", CLIP, key)
    until = key.valid_until + timedelta(seconds=1)
    while datetime.now(UTC) <= until:
        time.sleep(0.1)
    found = read_media(signed, "image/png", [key.certificates])
    assert found.is_expired
    assert found.problems == ()
    assert found.clip == CLIP
