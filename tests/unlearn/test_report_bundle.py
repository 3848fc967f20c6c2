"""The report as a zip: whole, readable from its unpacked folder, and the same bytes each time."""

from __future__ import annotations

import io
import json
import re
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from marking.certificate import make_key_pair
from marking.errors import MarkInvalid, NotMarked, SigningKeyInvalid
from marking.signed_zip import CERTIFICATES, STATEMENT, read_signed_zip
from marking.signing_key import ORDER, SigningKey
from tests.unlearn.report_help import MEASURES, OUTCOMES, Page, card_of
from unlearn.report import bundle as bundle_module
from unlearn.report.bundle import BundleTooLarge, bundle
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.verdict import verdict_of

IDENTITY = f"sha256:{'ab' * 32}"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    pair = make_key_pair("Acme Videos")
    return SigningKey.from_pem(pair.private_key, pair.certificates)


@pytest.fixture(scope="module")
def report(files: Mapping[str, bytes]) -> Report:
    return Report.model_validate_json(files[REPORT_JSON])


def made(report: Report, files: Mapping[str, bytes], key: SigningKey) -> bytes:
    return bundle(report, files.__getitem__, identity=IDENTITY, key=key)


@pytest.mark.parametrize("is_reduced", [False, True])
def test_every_address_of_the_page_is_a_file_of_the_unpacked_folder(
    key: SigningKey, files: Mapping[str, bytes], report: Report, tmp_path: Path, is_reduced: bool
) -> None:
    report = report.reduced() if is_reduced else report
    with ZipFile(io.BytesIO(made(report, files, key))) as zipped:
        assert zipped.testzip() is None
        zipped.extractall(tmp_path)
    page = Page((tmp_path / REPORT_HTML).read_text("utf-8"))
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("href", "src") and not value.startswith("data:")
    ]
    assert {Path(address).suffix for address in addresses} == {".css", ".mp4", ".png"}
    for address in addresses:
        assert re.fullmatch(r"(clips/)?[a-z0-9-]+\.(css|mp4|png)", address)
        assert (tmp_path / address).is_file(), address
    shown = {address for address in addresses if address.startswith("clips/")}
    assert shown == {f"clips/{path.name}" for path in (tmp_path / "clips").iterdir()}
    assert len(shown) == (7 if is_reduced else 14)
    css = (tmp_path / "report.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_the_clips_of_the_folder_play_and_are_the_stored_ones(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    with ZipFile(io.BytesIO(made(report, files, key))) as zipped:
        page = Page(zipped.read(REPORT_HTML).decode())
        for name in report.files:
            assert zipped.read(f"clips/{name}") == files[name]
        assert Report.model_validate_json(zipped.read(REPORT_JSON)) == report
        assert json.loads(zipped.read("card.json")) == json.loads(card_of().to_json())
        assert json.loads(zipped.read("measures.json")) == MEASURES
    videos = page.all("video")
    assert len(videos) == 2 * sum(o.probe.base.frames is not None for o in OUTCOMES) == 4
    for video in videos:
        assert {"controls", "autoplay", "loop", "muted", "playsinline"} < set(video)
        assert video["aria-label"]


def test_the_same_report_is_the_same_zip(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    first = made(report, files, key)
    assert (
        bundle(
            Report.model_validate_json(report.model_dump_json()),
            dict(files).get,
            identity=IDENTITY,
            key=key,
        )
        == first
    )  # type: ignore[arg-type]
    with ZipFile(io.BytesIO(first)) as zipped:
        assert {entry.date_time for entry in zipped.infolist()} == {(2026, 2, 3, 4, 5, 0)}


def test_a_report_that_is_too_large_is_refused(
    key: SigningKey, files: Mapping[str, bytes], report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(bundle_module, "MAX_BYTES", 40_000)
    with pytest.raises(BundleTooLarge, match="more than 40000 bytes"):
        bundle(report, lambda name: read.append(name) or b"x" * 30_000, identity=IDENTITY, key=key)
    assert 0 < len(read) < len(report.files)


def test_a_reader_finds_what_was_signed(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    found = read_signed_zip(made(report, files, key), [key.certificates])
    assert found.is_trusted
    assert found.key_id == key.key_id
    facts = found.facts
    assert facts.encoder_identity == IDENTITY
    assert (facts.encoder_id, facts.concepts) == (report.card.id, report.card.concepts)
    assert facts.verdict == verdict_of(report.card, report.pairs)


def test_every_changed_byte_of_the_zip_is_found(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    data = made(report, files, key)
    places = {*range(0, len(data), 97), *range(len(data) - 800, len(data))}
    with ZipFile(io.BytesIO(data)) as zipped:
        for name in (STATEMENT, CERTIFICATES):  # byte by byte: no file's digest holds these
            begin = zipped.getinfo(name).header_offset
            places |= set(range(begin, begin + 3000, 3))
    for place in places:
        for bit in (1, 0x20):
            changed = bytearray(data)
            changed[place] ^= bit
            with pytest.raises((MarkInvalid, NotMarked, SigningKeyInvalid)):
                read_signed_zip(bytes(changed), [key.certificates])


def test_what_is_added_or_cut_off_is_found(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    data = made(report, files, key)
    for changed in (b"x" + data, data + b"x", data[:-1], data[: len(data) // 2], b""):
        with pytest.raises((MarkInvalid, NotMarked)):
            read_signed_zip(changed)
    more = io.BytesIO(data)
    with ZipFile(more, "a") as zipped:
        zipped.writestr("more.txt", "more")
    with pytest.raises(MarkInvalid, match=r"more\.txt"):
        read_signed_zip(more.getvalue())


def test_a_file_that_was_left_out_is_found(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    with ZipFile(io.BytesIO(made(report, files, key))) as zipped:
        content = {name: zipped.read(name) for name in zipped.namelist()}
    for name in content.keys() - {STATEMENT, CERTIFICATES}:
        left = io.BytesIO()
        with ZipFile(left, "w") as zipped:
            for other in sorted(content.keys() - {name}):
                zipped.writestr(other, content[other])
        with pytest.raises(MarkInvalid, match="missing"):
            read_signed_zip(left.getvalue())


def test_a_compressed_zip_is_not_unpacked() -> None:
    bomb = io.BytesIO()
    with ZipFile(bomb, "w", ZIP_DEFLATED) as zipped:
        zipped.writestr(STATEMENT, bytes(50 << 20))
    with pytest.raises(NotMarked):
        read_signed_zip(bomb.getvalue())


def test_openssl_checks_the_statement(
    key: SigningKey, files: Mapping[str, bytes], report: Report, tmp_path: Path
) -> None:
    """An independent reader: the envelope's signature is over DSSE's encoding of the payload."""
    with ZipFile(io.BytesIO(made(report, files, key))) as zipped:
        zipped.extractall(tmp_path)
    envelope = json.loads((tmp_path / STATEMENT).read_bytes())
    kind, payload = envelope["payloadType"].encode(), b64decode(envelope["payload"])
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "signature").write_bytes(b64decode(envelope["signatures"][0]["sig"]))

    def openssl(*words: str) -> str:
        done = subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout

    public = openssl("x509", "-in", CERTIFICATES, "-pubkey", "-noout")
    (tmp_path / "public.pem").write_text(public)
    check = ("dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed")
    assert openssl(*check) == "Verified OK\n"
    subjects = {one["name"]: one["digest"]["sha256"] for one in json.loads(payload)["subject"]}
    for path in tmp_path.rglob("*"):
        name = path.relative_to(tmp_path).as_posix()
        if path.is_file() and name not in (STATEMENT, "signed", "signature", "public.pem"):
            assert subjects.pop(name) == sha256(path.read_bytes()).hexdigest(), name
    assert list(subjects) == ["encoder:overrides.safetensors"]


def test_a_statement_in_another_form_is_a_changed_one(
    key: SigningKey, files: Mapping[str, bytes], report: Report
) -> None:
    """The same signature can be written in many ways; one of them was signed."""
    with ZipFile(io.BytesIO(made(report, files, key))) as zipped:
        content = {name: zipped.read(name) for name in zipped.namelist()}
    envelope = json.loads(content[STATEMENT])
    [signature] = envelope["signatures"]
    r, s = decode_dss_signature(b64decode(signature["sig"]))
    mirrored = b64encode(encode_dss_signature(r, ORDER - s)).decode()
    for changed in (
        {**envelope, "note": "anything"},
        {**envelope, "signatures": [signature, {"keyid": "sha256:00", "sig": signature["sig"]}]},
        {**envelope, "signatures": [{**signature, "note": "anything"}]},
        {**envelope, "signatures": [{**signature, "sig": mirrored}]},
    ):
        written = io.BytesIO()
        with ZipFile(written, "w") as zipped:
            for name in sorted(content):
                entry = ZipInfo(name, max(report.date.timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
                entry.external_attr = 0o644 << 16
                is_statement = name == STATEMENT
                text = json.dumps(changed, indent=2, sort_keys=True).encode()
                zipped.writestr(entry, text if is_statement else content[name])
        with pytest.raises(MarkInvalid):
            read_signed_zip(written.getvalue(), [key.certificates])


def test_entries_that_lie_over_each_other_are_not_read() -> None:
    """A central directory can name the same megabyte a thousand times."""
    written = io.BytesIO()
    with ZipFile(written, "w") as zipped:
        zipped.writestr("a", bytes(1 << 20))
        entry = zipped.getinfo("a")
        for number in range(900):
            again = ZipInfo(f"a{number}")
            again.header_offset, again.file_size = entry.header_offset, entry.file_size
            again.compress_size, again.CRC = entry.compress_size, entry.CRC
            zipped.filelist.append(again)
    with pytest.raises(NotMarked):
        read_signed_zip(written.getvalue())
