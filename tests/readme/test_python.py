"""The blocks of `docs/PYTHON.md`, run one after another as one program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from encoders.store import EncoderStore
from tests.readme.help import LIMIT_S, ROOT, blocks_of
from video.clip import decode_mp4, read_provenance

PAGE = (ROOT / "docs" / "PYTHON.md").read_text()
SHORTER = {
    "UnlearnSettings(seed=1)": "UnlearnSettings(seed=1, steps=20)",
    "UnlearnSettings(steps=60)": "UnlearnSettings(steps=5)",
    'Gate.of_tier("standard")': (
        'Gate.of_tier("quick", min_forget_rate=0.0, max_retain_drop=1.0, max_probes=4)'
    ),
}
"""Replacements in the page's program: less work, and a gate that lets the encoder through."""


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_the_page_goes_from_a_concept_to_an_exported_encoder(tmp_path: Path) -> None:
    blocks = blocks_of(PAGE)
    assert [block.language for block in blocks] == ["python"] * 11
    program = "\n".join(block.text for block in blocks)
    for said, run in SHORTER.items():
        assert program.count(said) == 1
        program = program.replace(said, run)
    program += "assert not failures, failures\n"
    program += "from encoders.digest import digest\n"
    program += "again = digest(backbone.text_encoder.parameters(), overrides)\n"
    program += "assert again == encoder.card.digest\n"
    program += "assert [one.name for one in both.card.concepts] == ['pogo', 'star']\n"
    (tmp_path / "starter").symlink_to(ROOT / "starter")
    (tmp_path / "page.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "page.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    store = EncoderStore(tmp_path / "my-encoders" / "published")
    assert store.ids() == ["acme", "no-pogo", "no-star"]
    assert sorted(member.id for member in store.card("acme").members) == ["no-pogo", "no-star"]
    assert "a teapot in a kitchen [False, False]" in done.stdout
    card = store.card("no-pogo")
    assert card.measures["gate"]["max_probes"] == 4
    page = (tmp_path / "no-pogo.html").read_text()
    assert "Issued by Example Ltd. Not signed." in page
    assert "judged clips and stills" in page or "has not been measured" in page
    for name in ("base", "no-pogo"):
        data = (tmp_path / f"{name}.mp4").read_bytes()
        assert len(decode_mp4(data)) == 12
        assert read_provenance(data)["encoder"] == name
