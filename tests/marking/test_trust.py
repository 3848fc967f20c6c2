"""Trust: a signer is known by its own certificate, not by the authority that issued it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from marking.certificate import make_key_pair
from marking.content_credentials import read_media, sign_media
from marking.errors import SigningFailed
from marking.publication import make_publication, read_publication
from marking.signed_zip import make_signed_zip, read_signed_zip
from marking.signing_key import SigningKey
from tests.marking.test_content_credentials import CLIP, FILES
from tests.marking.test_timestamp import FACTS


def name(text: str) -> x509.Name:
    names = ((NameOID.ORGANIZATION_NAME, text), (NameOID.COMMON_NAME, text))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in names])


class Authority:
    """A certificate authority with several customers."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build("Root", "Root", self.key, is_authority=True)

    def customer(self, holder: str) -> tuple[ec.EllipticCurvePrivateKey, SigningKey]:
        """Return a customer's private key, and its signing key."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._build(holder, "Root", key, is_authority=False)
        return key, signing_key(key, leaf, self.certificate)

    def _build(
        self, subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
    ) -> x509.Certificate:
        return issued(subject, issuer, key, self.key, is_authority=is_authority)


def issued(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    signs = {"key_cert_sign": is_authority, "crl_sign": is_authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_authority, **signs, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def signing_key(key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> SigningKey:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return SigningKey.from_pem(
        private, "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)
    )


def test_another_customer_of_the_same_authority_is_not_trusted() -> None:
    authority = Authority()
    (_, ours), (_, other) = authority.customer("Acme"), authority.customer("Acme")
    trusted = [ours.certificates]
    for kind, data in FILES.items():
        assert read_media(sign_media(data, kind, CLIP, ours), kind, trusted).key_id == ours.key_id
        assert not read_media(sign_media(data, kind, CLIP, other), kind, trusted).is_trusted
    for key, is_known in ((ours, True), (other, False)):
        zipped = make_signed_zip({"a": b"a"}, FACTS, key, elsewhere={})
        assert read_signed_zip(zipped, trusted).is_trusted is is_known
        assert read_publication(make_publication({}, FACTS, key), trusted).is_trusted is is_known


def test_a_stolen_key_issues_nobody_who_is_trusted() -> None:
    stolen, ours = Authority().customer("Acme")
    thief_key = ec.generate_private_key(ec.SECP256R1())
    leaf = x509.load_pem_x509_certificates(ours.certificates.encode())[0]
    forged = issued("Thief", "Acme", thief_key, stolen)
    thief = signing_key(thief_key, forged, leaf)
    zipped = make_signed_zip({"a": b"a"}, FACTS, thief, elsewhere={})
    assert not read_signed_zip(zipped, [ours.certificates]).is_trusted
    try:
        media = sign_media(FILES["image/png"], "image/png", CLIP, thief)
    except SigningFailed:
        return  # C2PA refuses such a chain already
    assert not read_media(media, "image/png", [ours.certificates]).is_trusted


def test_an_authority_alone_is_no_signer() -> None:
    authority = Authority()
    _, ours = authority.customer("Acme")
    alone = authority.certificate.public_bytes(Encoding.PEM).decode()
    media = sign_media(FILES["image/png"], "image/png", CLIP, ours)
    assert not read_media(media, "image/png", [alone]).is_trusted
    zipped = make_signed_zip({"a": b"a"}, FACTS, ours, elsewhere={})
    assert not read_signed_zip(zipped, [alone]).is_trusted


def test_a_private_key_among_the_certificates_is_not_passed_on() -> None:
    pair = make_key_pair("Acme")
    key = SigningKey.from_pem(pair.private_key, pair.private_key + pair.certificates)
    assert key.certificates == pair.certificates
    zipped = make_signed_zip({"a": b"a"}, FACTS, key, elsewhere={})
    for data in (zipped, make_publication({}, FACTS, key)):
        assert b"PRIVATE KEY" not in data


def test_a_zip_with_an_untrusted_publication_is_not_trusted() -> None:
    pairs = [make_key_pair("Acme") for _ in range(2)]
    ours, other = (SigningKey.from_pem(pair.private_key, pair.certificates) for pair in pairs)
    for key, is_known in ((ours, True), (other, False)):
        publication = make_publication({}, FACTS, key)
        zipped = make_signed_zip({"publication.json": publication}, FACTS, ours, elsewhere={})
        assert read_signed_zip(zipped, [ours.certificates]).is_trusted is is_known


@pytest.mark.parametrize("year", [1, 1979, 2108, 9999])
def test_reports_of_every_date_can_be_zipped(year: int) -> None:
    pair = make_key_pair("Acme")
    key = SigningKey.from_pem(pair.private_key, pair.certificates)
    facts = FACTS.model_copy(update={"reported_at": datetime(year, 6, 1, tzinfo=UTC)})
    zipped = make_signed_zip({"a": b"a"}, facts, key, elsewhere={})
    assert read_signed_zip(zipped, [key.certificates]).facts.reported_at.year == year
