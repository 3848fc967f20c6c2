"""Names that an encoder may have, and fields that a card accepts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from encoders import Card, EncoderDamaged, EncoderInvalid, InvalidId, PalimpsestError, check_id
from encoders.errors import EncoderNewer
from encoders.store import EncoderStore

from .conftest import MakeEncoder


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True))
def test_ids_in_the_alphabet_are_accepted_unless_they_hold_two_dots(name: str) -> None:
    if ".." in name:
        with pytest.raises(InvalidId):
            check_id(name)
    else:
        assert check_id(name) == name


@given(st.text(max_size=80) | st.text("./\\a\0%", max_size=8))
def test_whatever_is_accepted_is_one_safe_path_segment(name: str) -> None:
    try:
        check_id(name)
    except InvalidId:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name)
    assert (Path("/store") / name).resolve().parent == Path("/store")


TRAVERSALS = [
    "..",
    "../x",
    "a/../../x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "%2e%2e",
    "",
    "A",
    "a\n",
    "a" * 64,
]


@pytest.mark.parametrize("name", TRAVERSALS)
@pytest.mark.parametrize("call", ["card", "load", "delete"])
def test_every_way_into_the_store_refuses_traversal(tmp_path: Path, name: str, call: str) -> None:
    store = EncoderStore(tmp_path / "store")
    with pytest.raises(InvalidId):
        getattr(store, call)(name)


def test_card_round_trips_through_json(make_encoder: MakeEncoder) -> None:
    card = make_encoder(measures={"forget_rate": 0.98, "n": 150}, parent="no-blip").card
    assert Card.of_encoder(card.id, card.to_json()) == card


@pytest.mark.parametrize(
    "fields",
    [
        {"encoder_id": "../up"},
        {"concepts": [{"name": "pogo", "kind": "animal"}]},
        {"concepts": [{"name": "", "kind": "object"}]},
        {"concepts": []},
        {"stored": "sha256:12"},
        {"base": "sha256:12"},
        {"digest": "0" * 64},
        {"parent": "a/b"},
        {"schema_version": 4},
        {"colour": "red"},
    ],
)
def test_card_refuses(make_encoder: MakeEncoder, fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_encoder(**fields)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\0" * 40, "it is empty"),
        (b'{"id": "no', "not whole JSON"),
        (b"\xff\xfe", "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "a field is missing"),
        (b'{"schema_version": 0}', "schema version is 0"),
        (b'{"schema_version": 1e99}', "schema version is 1e+99"),
    ],
)
def test_a_card_that_cannot_be_read_is_a_damaged_encoder(data: bytes, reason: str) -> None:
    with pytest.raises(EncoderDamaged) as caught:
        Card.of_encoder("no-pogo", data)
    message = str(caught.value)
    assert reason in message
    assert "'no-pogo' is damaged" in message
    assert "pydantic" not in message
    assert "\n" not in message


def test_a_card_of_a_later_version_is_a_newer_encoder() -> None:
    data = b'{"schema_version": 4, "id": "no-pogo", "colour": "red"}'
    with pytest.raises(EncoderNewer, match=r"newer version of Palimpsest .*schema version 4; 1 to"):
        Card.of_encoder("no-pogo", data)


def test_errors_carry_a_code_and_the_field_at_fault() -> None:
    error = EncoderInvalid("no", param="encoder")
    assert isinstance(error, PalimpsestError)
    assert (error.code, error.param, str(error)) == ("encoder_invalid", "encoder", "no")


def test_importing_the_package_does_not_import_torch() -> None:
    code = (
        "import sys, encoders; assert 'torch' not in sys.modules; import encoders.text_encoder; "
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
