"""Signing keys and envelopes: what signs, what is refused, what openssl says of it."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from marking.certificate import LIFETIME, KeyPair, make_key_pair
from marking.envelope import sign_envelope, verify_envelope
from marking.errors import MarkInvalid, SigningFailed, SigningKeyInvalid
from marking.signing_key import SigningKey

TYPE = "application/vnd.in-toto+json"


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return make_key_pair("Acme Videos")


@pytest.fixture(scope="module")
def key(pair: KeyPair) -> SigningKey:
    return SigningKey.from_pem(pair.private_key, pair.certificates)


def pem(private: Any) -> str:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_openssl_agrees_with_certificate_and_signature(
    key: SigningKey, pair: KeyPair, tmp_path: Path
) -> None:
    leaf, authority = pair.certificates.split("-----END CERTIFICATE-----\n")[:2]
    for name, text in (("leaf.pem", leaf), ("ca.pem", authority)):
        (tmp_path / name).write_text(text + "-----END CERTIFICATE-----\n")
    (tmp_path / "signature").write_bytes(key.sign(b"data"))
    (tmp_path / "data").write_bytes(b"data")

    def openssl(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["openssl", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert openssl("verify", "-CAfile", "ca.pem", "leaf.pem").stdout == "leaf.pem: OK\n"
    public = openssl("x509", "-in", "leaf.pem", "-pubkey", "-noout").stdout
    (tmp_path / "public.pem").write_text(public)
    check = ("dgst", "-sha256", "-verify", "public.pem", "-signature", "signature")
    assert openssl(*check, "data").stdout == "Verified OK\n"
    (tmp_path / "data").write_bytes(b"date")
    assert openssl(*check, "data").returncode == 1


def test_a_certificate_is_valid_for_its_lifetime() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    pair = make_key_pair("A" * 100, now)
    key = SigningKey.from_pem(pair.private_key, pair.certificates)
    assert abs(key.valid_until - now - LIFETIME) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("private", "says"),
    [
        ("", "PKCS #8"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "PKCS #8"),
        (pem(rsa.generate_private_key(65537, 2048)), "P-256"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not that of the certificate"),
    ],
    ids=["empty", "damaged", "rsa", "another"],
)
def test_a_private_key_that_cannot_sign_is_refused(pair: KeyPair, private: str, says: str) -> None:
    with pytest.raises(SigningKeyInvalid, match=says):
        SigningKey.from_pem(private, pair.certificates)


@pytest.mark.parametrize("certificates", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_certificates_that_cannot_be_read_are_refused(pair: KeyPair, certificates: str) -> None:
    with pytest.raises(SigningKeyInvalid, match="certificates"):
        SigningKey.from_pem(pair.private_key, certificates)


def command(tmp_path: Path, pair: KeyPair, code: str) -> SigningKey:
    (tmp_path / "key.pem").write_text(pair.private_key)
    script = tmp_path / "sign with.py"
    script.write_text(code)
    words = (sys.executable, str(script), str(tmp_path / "key.pem"))
    return SigningKey.from_command(shlex.join(words), pair.certificates)


SIGNS = """
import sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
key = load_pem_private_key(open(sys.argv[1], "rb").read(), None)
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))
"""


def test_a_command_signs(tmp_path: Path, pair: KeyPair) -> None:
    key = command(tmp_path, pair, SIGNS)
    envelope = sign_envelope(b"payload", TYPE, key)
    assert verify_envelope(envelope, pair.certificates, TYPE) == b"payload"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit('the token is locked')", "the token is locked"),
        ("print('no signature')", "does not fit the certificate"),
        ("", "does not fit the certificate"),
    ],
)
def test_a_command_that_does_not_sign_says_so(
    tmp_path: Path,
    pair: KeyPair,
    code: str,
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SigningFailed) as failed:
        command(tmp_path, pair, code).sign(b"data")
    assert says in f"{failed.value} {caplog.text}"
    assert "token" not in str(failed.value), "its words are for the log alone"


def test_a_command_that_is_not_there(pair: KeyPair, caplog: pytest.LogCaptureFixture) -> None:
    key = SigningKey.from_command("/no/such/command --slot 1", pair.certificates)
    with pytest.raises(SigningFailed, match="log"):
        key.sign(b"data")
    assert "/no/such/command" in caplog.text
    with pytest.raises(SigningKeyInvalid, match="empty"):
        SigningKey.from_command("  ", pair.certificates)


def changed_payload(envelope: dict[str, Any]) -> None:
    envelope["payload"] = base64.b64encode(b"another").decode()


def changed_type(envelope: dict[str, Any]) -> None:
    envelope["payloadType"] = "text/plain"


def changed_signature(envelope: dict[str, Any]) -> None:
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[-1] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()


def no_signature(envelope: dict[str, Any]) -> None:
    envelope["signatures"] = []


def no_payload(envelope: dict[str, Any]) -> None:
    del envelope["payload"]


def no_list(envelope: dict[str, Any]) -> None:
    envelope["signatures"] = {"sig": 5}


@pytest.mark.parametrize(
    "change",
    [changed_payload, changed_type, changed_signature, no_signature, no_payload, no_list],
)
def test_a_changed_envelope_does_not_hold(
    key: SigningKey, change: Callable[[dict[str, Any]], None]
) -> None:
    envelope = json.loads(json.dumps(sign_envelope(b"payload", TYPE, key)))
    assert verify_envelope(envelope, key.certificates, TYPE) == b"payload"
    change(envelope)
    with pytest.raises(MarkInvalid):
        verify_envelope(envelope, key.certificates, TYPE)


@pytest.mark.parametrize("envelope", [None, 5, "x", [], {}])
def test_what_is_no_envelope(key: SigningKey, envelope: Any) -> None:
    with pytest.raises(MarkInvalid):
        verify_envelope(envelope, key.certificates, TYPE)


def test_another_key_and_another_type_are_refused(key: SigningKey) -> None:
    envelope = sign_envelope(b"payload", TYPE, key)
    with pytest.raises(MarkInvalid, match="not signed with"):
        verify_envelope(envelope, make_key_pair("Acme Videos").certificates, TYPE)
    with pytest.raises(MarkInvalid, match="holds"):
        verify_envelope(envelope, key.certificates, "application/json")
