"""The programs under `examples/`, run as a reader runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import CLIPTextModel

from encoders.store import EncoderStore
from tests.server.conftest import quick_backbone_dir
from tests.server.help import ROOT, SERVER_TIMEOUT_S, free_port, running
from video.clip import decode_mp4, read_provenance

__all__ = ["quick_backbone_dir"]

QUICK = ("--tier", "quick", "--max-probes", "4")
GATE_OPEN = {
    "PALIMPSEST_GATE_TIER": "quick",
    "PALIMPSEST_MIN_BASE_RATE": "0",
    "PALIMPSEST_MIN_FORGET_RATE": "0",
    "PALIMPSEST_MAX_RETAIN_DROP": "1",
    "PALIMPSEST_MAX_PROBES": "1",
    "PALIMPSEST_JUDGED_VIDEOS": "1",
}
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an example in the checkout."""
    clean = {name: value for name, value in os.environ.items() if "PALIMPSEST" not in name}
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=4 * SERVER_TIMEOUT_S,
    )


def test_examples_are_short() -> None:
    assert {file.name for file in EXAMPLES} == {
        "keys_and_policies.py",
        "make_encoder.py",
        "openai_client.py",
    }
    for file in EXAMPLES:
        assert len(file.read_text().splitlines()) < 100, file.name


@pytest.mark.timeout(4 * SERVER_TIMEOUT_S)
def test_the_openai_client_gets_its_clip(quick_backbone_dir: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with running(quick_backbone_dir, tmp_path) as server:
        arguments = ("pogo in a meadow", "--seed", "7", "-o", str(clip))
        done = run("openai_client.py", *arguments, PALIMPSEST_SERVER=server.url)
        assert done.returncode == 0, done.stderr
        assert "models: tiny\n" in done.stdout
        assert len(decode_mp4(clip.read_bytes())) == 4
        assert read_provenance(clip.read_bytes())["seed"] == 7
        unknown = run("openai_client.py", "pogo", "--encoder", "none", "--server", server.url)
        assert unknown.returncode == 1
        assert "none" in unknown.stderr


@pytest.mark.timeout(8 * SERVER_TIMEOUT_S)
def test_an_encoder_is_made_judged_published_and_exported(tmp_path: Path) -> None:
    folder, exported = tmp_path / "made", tmp_path / "exported"
    arguments = ("pogo", "character", "--folder", str(folder), "--export", str(exported))
    done = run("make_encoder.py", *arguments, "--steps", "40", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = re.findall(r"^step (\d+) of 40: loss", done.stdout, re.MULTILINE)
    assert [int(step) for step in steps] == list(range(1, 41))
    [card] = EncoderStore(folder / "published").cards()
    assert card.id == "no-pogo"
    assert card.measures["gate"]["max_probes"] == 4
    assert "no-pogo: published, forget rate" in done.stdout
    assert CLIPTextModel.from_pretrained(exported).config.hidden_size == 192
    assert EncoderStore(folder / "drafts").cards() == []


@pytest.mark.timeout(8 * SERVER_TIMEOUT_S)
def test_an_encoder_that_forgets_nothing_is_not_published(tmp_path: Path) -> None:
    arguments = ("pogo", "character", "--folder", str(tmp_path), "--steps", "1")
    done = run("make_encoder.py", *arguments, *QUICK)
    assert done.returncode == 1
    assert "'pogo' is gone from only" in done.stderr
    assert EncoderStore(tmp_path / "published").cards() == []


@pytest.mark.timeout(4 * SERVER_TIMEOUT_S)
def test_a_bound_key_gets_what_its_alias_points_to(quick_backbone_dir: Path) -> None:
    port = {"PALIMPSEST_PORT": str(free_port()), "PALIMPSEST_BACKBONE": str(quick_backbone_dir)}
    done = run("keys_and_policies.py", STEPS="2", PALIMPSEST_THREADS="1", **port, **GATE_OPEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "acme-policy is no-pogo: the tenant's video is made by tiny:no-pogo",
        "acme-policy is no-blip: the tenant's video is made by tiny:no-blip",
        "the base for the tenant: 403, Key 'acme' may not use encoder 'base'; it may use "
        "['acme-policy'].",
    ]
