"""Work in a process of its own: limited, and given no more than it needs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from marking.apart import run_apart
from marking.errors import MarkInvalid

CHILD = "tests.marking.apart_help"


def test_a_child_gets_the_file_and_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PALIMPSEST_API_KEY", "secret")
    found = json.loads(run_apart(CHILD, b"x" * 1000, more="a\nb"))
    assert (found["more"], found["size"]) == ("a\nb", 1000)
    assert "PATH" in found["environment"]
    assert not [name for name in found["environment"] if "SECRET" in name or "PALIMP" in name]


@pytest.mark.parametrize("what", [b"memory", b"loop", b"write"])
def test_a_child_that_wants_too_much_is_ended(
    what: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marking.apart.SECONDS", 3.0)
    began = time.monotonic()
    with pytest.raises(MarkInvalid, match="limits"):
        run_apart(CHILD, what, more=str(tmp_path / "written"))
    assert time.monotonic() - began < 30
    written = tmp_path / "written"
    assert not written.exists() or not written.read_text()
