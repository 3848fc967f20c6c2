"""Checkpoints of a run: one that goes on from them makes the same encoder as one that does not."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from encoders import Concept
from tests.server.help import ROOT
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.methods.optimise import Unlearning
from unlearn.methods.run_state import share_done
from video import load_backbone
from video.models.backbone import Backbone

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
STEPS = 6


def task(
    method: str = "redirect", *, concepts: int = 2, with_images: bool = False, **settings: object
) -> UnlearnTask:
    wanted = tuple(Concept(name=name, kind="character") for name in ("pogo", "zumi")[:concepts])
    chosen = UnlearnSettings.from_json(
        {"method": method, "steps": STEPS // concepts, "batch_size": 2, "retain_batch": 6}
        | settings
    )
    images = tuple(IMAGES for _ in wanted) if method == "ascent" or with_images else ()
    return UnlearnTask(wanted, chosen, images)


@cache
def loaded(directory: Path) -> Backbone:
    return load_backbone(directory)


def start(directory: Path, of: UnlearnTask, checkpoint: bytes | None = None) -> Unlearning:
    return unlearn(of, loaded(directory), checkpoint)


def finish(run: Unlearning) -> list[int]:
    """Iterate to the end, and return the numbers of the steps."""
    return [progress.step for progress in run]


def interrupted(directory: Path, of: UnlearnTask, after: int) -> bytes:
    run = start(directory, of)
    for _ in range(after):
        next(run)
    checkpoint = run.checkpoint()
    run.close()
    assert checkpoint is not None
    return checkpoint


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("redirect", {}),
        ("redirect", {"with_images": True}),
        ("redirect", {"rank": 0, "learning_rate": 1e-3}),
        ("ascent", {}),
    ],
)
def test_a_run_that_goes_on_makes_the_same_encoder(
    tiny_backbone_dir: Path, method: str, settings: dict[str, Any]
) -> None:
    wanted = task(method, **settings)
    through = start(tiny_backbone_dir, wanted)
    assert finish(through) == list(range(1, STEPS + 1))
    for after in (1, 3, STEPS - 1):
        data = interrupted(tiny_backbone_dir, wanted, after)
        assert share_done(data) == after / STEPS
        run = start(tiny_backbone_dir, wanted, data)
        assert finish(run) == list(range(after + 1, STEPS + 1))
        assert run.encoder.card.digest == through.encoder.card.digest
        assert run.encoder.card.stored == through.encoder.card.stored
        assert run.losses == through.losses


def test_a_run_can_be_interrupted_again_and_again(tiny_backbone_dir: Path) -> None:
    through = start(tiny_backbone_dir, task())
    finish(through)
    data: bytes | None = None
    for _ in range(STEPS - 1):
        run = start(tiny_backbone_dir, task(), data)
        next(run)
        data = run.checkpoint()
    run = start(tiny_backbone_dir, task(), data)
    assert finish(run) == [STEPS]
    assert run.encoder.card.digest == through.encoder.card.digest
    assert run.losses == through.losses


def test_another_process_goes_on(tiny_backbone_dir: Path, tmp_path: Path) -> None:
    through = start(tiny_backbone_dir, task())
    finish(through)
    (tmp_path / "checkpoint").write_bytes(interrupted(tiny_backbone_dir, task(), 3))
    code = (
        "import sys, torch, pathlib; from tests.unlearn.test_resuming import *;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        "run = start(pathlib.Path(sys.argv[1]), task(), pathlib.Path(sys.argv[2]).read_bytes());"
        "print(len(finish(run)), run.encoder.card.digest)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, tiny_backbone_dir, tmp_path / "checkpoint"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert found.stdout.split() == [str(STEPS - 3), through.encoder.card.digest]


def damaged(data: bytes) -> dict[str, bytes]:
    """Return checkpoints that do not fit, by what is wrong with them."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata, tensors = header["__metadata__"], load(data)
    name = next(name for name in tensors if name.startswith("trained/"))
    other = {**tensors, name: torch.zeros(3)}
    lacking = {n: tensor for n, tensor in tensors.items() if "random" not in n}
    misshapen = {**tensors, "loss/random": torch.zeros(3, dtype=torch.uint8)}
    return {
        "empty": b"",
        "truncated": data[:-1],
        "header only": data[: 8 + length],
        "cut in the header": data[:20],
        "noise": bytes(range(256)) * 4,
        "a pickle": b"\x80\x04]\x94.",
        "a huge header": (1 << 40).to_bytes(8, "little") + data[8:],
        "other tensors": save(other, metadata),
        "no generator": save(lacking, metadata),
        "a broken generator": save(misshapen, metadata),
        "no metadata": save(tensors),
        "too many losses": save(
            {**tensors, "losses": torch.zeros(STEPS + 1, dtype=torch.float64)}, metadata
        ),
    }


def test_a_checkpoint_that_does_not_fit_is_ignored(
    tiny_backbone_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = task(concepts=1, layers="*.layers.0.mlp.fc1.weight")
    through = start(tiny_backbone_dir, wanted)
    finish(through)
    data = interrupted(tiny_backbone_dir, wanted, 3)
    unfit = damaged(data)
    for name, changes in {
        "another seed": {"seed": 1},
        "another rate": {"learning_rate": 1e-3},
        "more steps": {"steps": STEPS + 1},
    }.items():
        settings = {"layers": "*.layers.0.mlp.fc1.weight", **changes}
        unfit[name] = interrupted(tiny_backbone_dir, task(concepts=1, **settings), 3)
    for name, bad in unfit.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            run = start(tiny_backbone_dir, wanted, bad)
            assert finish(run) == list(range(1, STEPS + 1)), name
        assert run.encoder.card.digest == through.encoder.card.digest, name
        assert "begins anew" in caplog.text, name


def test_a_method_that_cannot_be_saved_has_no_checkpoint(
    tiny_backbone_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tiny_backbone_dir, task())
    assert run.checkpoint() is None  # nothing is done yet
    finish(run)
    assert run.checkpoint() is None  # nothing is left
    spec = task().settings.method_spec
    opaque = replace(spec, make_loss=lambda *given: spec.make_loss(*given).__call__)
    monkeypatch.setattr(UnlearnSettings, "method_spec", property(lambda _: opaque))
    run = start(tiny_backbone_dir, task())
    next(run)
    assert run.checkpoint() is None
