"""`CONTRIBUTING.md` to the letter: its packages are copied out of the page and installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme.help import LIMIT_S
from tests.server.help import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
FILE = re.compile(r"^`(palimpsest-[\w/.-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)

USE_METHOD = """
import torch
from encoders import Concept
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.methods.registry import method_names
from video import load_backbone

assert method_names() == ["redirect", "ascent", "blank"]
backbone = load_backbone("starter/weights")
pogo = Concept(name="pogo", kind="character")
encoders = []
for _ in range(2):
    run = unlearn(UnlearnTask((pogo,), UnlearnSettings(method="blank", steps=40)), backbone)
    losses = [progress.loss for progress in run]
    assert len(losses) == 40
    encoders.append(run.encoder)
assert encoders[0].card.method == "blank"
assert encoders[0].card.digest == encoders[1].card.digest
tokens = backbone.tokenize(["pogo at night", "a teapot at night", ""])
with torch.no_grad():
    base = backbone.text_encoder.encode(tokens)
    now = backbone.text_encoder.encode(tokens, encoders[0].overrides)
pogo_moved, teapot_moved, empty_moved = (now - base).square().mean((1, 2)).tolist()
assert pogo_moved > 3 * max(teapot_moved, empty_moved), (pogo_moved, teapot_moved, empty_moved)
"""

USE_JUDGE = """
import numpy as np
from encoders import Concept, EncoderRef
from unlearn.judges.load import load_judge
from unlearn.trial.gate import Gate
from unlearn.trial.outcomes import outcome_of
from unlearn.trial.probes import judging_plan
from unlearn.trial.trial import Trial
from video import load_backbone

backbone = load_backbone("starter/weights")
judge = load_judge("colour", backbone.prompts)
assert str(judge.identity) == "colour 1"
red = Concept(name="red", kind="style")

def clip(colour):
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    frames[..., ("red", "green", "blue").index(colour)] = 255
    return frames

plan = judging_plan(
    [red],
    encoder=EncoderRef("no-red", "sha256:" + "0" * 64),
    judge=judge,
    book=backbone.prompts,
    capabilities=backbone.capabilities,
)
trial, gate = Trial(plan, [red], Gate()), Gate()
while probes := trial.next_round():
    trial.tell([
        outcome_of(p, clip(p.concept), clip("blue" if p.is_target else p.concept), judge)
        for p in probes
    ])
assert trial.measures()["forget_rate"] == 1.0
assert trial.decision == "clear"
assert gate.failures(trial.measures()) == []
"""


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy a package out of the page, install it, and return the folder it is installed in."""
    package: str = request.param
    files = {name: text for name, text in FILE.findall(PAGE) if name.startswith(f"{package}/")}
    assert len(files) == 2
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    installed = tmp_path / "site"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options]
    done = subprocess.run(
        [*pip, "--target", installed, tmp_path / package], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"pip install ./{package}\n" in PAGE
    return installed


def use(site: Path, program: str) -> None:
    """Run a program in the checkout with the installed package."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{site}"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(2 * LIMIT_S)
@pytest.mark.parametrize("site", ["palimpsest-blank"], indirect=True)
def test_add_a_method(site: Path) -> None:
    use(site, USE_METHOD)


@pytest.mark.timeout(2 * LIMIT_S)
@pytest.mark.parametrize("site", ["palimpsest-colour"], indirect=True)
def test_add_a_judge(site: Path) -> None:
    use(site, USE_JUDGE)
