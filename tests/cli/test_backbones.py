"""`palimpsest backbones`."""

from __future__ import annotations

import json
from dataclasses import asdict

from tests.cli.help import palimpsest
from video.families import FAMILIES


def test_json_has_every_family() -> None:
    done = palimpsest("backbones", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json == json.loads(json.dumps([asdict(family) for family in FAMILIES]))


def test_the_table_has_a_row_for_every_family() -> None:
    shown = palimpsest("backbones").out
    assert len(FAMILIES) > 0
    for family in FAMILIES:
        row = next(line for line in shown.splitlines() if family.example in line)
        for text in (family.name, family.pipelines[0], family.encoder, family.twin or ""):
            assert text in row
        assert row.split()[-1] == ("yes" if family.native else "no")
        for pipeline in family.pipelines:
            assert pipeline in shown
