"""Variables that look like settings and are none, and what the start-up log says."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from server.settings import Settings
from server.unknown_variables import unknown_variables


def test_every_real_variable_is_known_in_any_case() -> None:
    names = [f"PALIMPSEST_{name.upper()}" for name in Settings.model_fields]
    assert len(names) > 30
    others = ["PALIMPSEST_SERVER", "PALIMPSEST_API_KEY", "PATH", "PALIMPSES", "palimpsest_port"]
    assert unknown_variables([*names, *others]) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PALIMPSEST_BACKBON", "PALIMPSEST_BACKBONE"),
        ("PALIMPSEST_DATADIR", "PALIMPSEST_DATA_DIR"),
        ("PALIMPSEST_MAX_PROBE", "PALIMPSEST_MAX_PROBES"),
        ("Palimpsest_Jugde", "PALIMPSEST_JUDGE"),
        ("PALIMPSEST_APIKEY", "PALIMPSEST_API_KEY"),
    ],
)
def test_a_misspelt_one_is_named_with_the_nearest(name: str, meant: str) -> None:
    [sentence] = unknown_variables({name: "secret"})
    assert sentence == f"{name} is no setting and is ignored: did you mean {meant}?"


def test_one_that_is_like_none_is_named_too() -> None:
    [sentence] = unknown_variables(["PALIMPSEST_XYZZY"])
    assert sentence.startswith("PALIMPSEST_XYZZY is no setting")
    assert "docs/SETTINGS.md" in sentence


def test_the_server_says_at_its_start_what_is_ignored_and_where_it_computes(
    make_client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PALIMPSEST_JUGDE", "secret")
    for name in ("server.runtime", "server.loading"):
        logging.getLogger(name).addHandler(caplog.handler)
        logging.getLogger(name).setLevel(logging.INFO)
    client = make_client(device="auto")
    for name in ("server.runtime", "server.loading"):
        logging.getLogger(name).removeHandler(caplog.handler)
    lines = [record.getMessage() for record in caplog.records]
    [warned] = {line for line in lines if "no setting" in line}
    assert "PALIMPSEST_JUGDE" in warned
    assert "PALIMPSEST_JUDGE?" in warned
    assert "secret" not in " ".join(lines)
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    assert client.runtime.loaded.backbone.device.type == kind
    [said] = {line for line in lines if line.startswith("loading ")}
    assert f"device {kind}" in said
    assert "float" in said
