"""`palimpsest backbones`."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import asdict

import pytest

from tests.cli.help import palimpsest
from tests.server.help import ROOT
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


@pytest.mark.parametrize("width", [40, 140, 400])
def test_no_id_is_cut_or_broken_on_a_terminal_of_any_width(width: int) -> None:
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    environment = {n: v for n, v in os.environ.items() if n not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "backbones"],
        env={**environment, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdout=side,
        stdin=side,
        stderr=subprocess.DEVNULL,
    )
    os.close(side)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the other side is closed
        pass
    os.close(terminal)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[\d;]*m", "", shown.decode())
    words = text.replace(",", " ").split()
    assert "…" not in text
    assert len(FAMILIES) > 5
    for family in FAMILIES:
        whole = (*family.name.replace(",", " ").split(), *family.pipelines, family.example)
        for word in (*whole, family.twin or family.example):
            assert word in words, word
