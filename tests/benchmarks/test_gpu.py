"""The measurements on a GPU: their plan, and what becomes of a part that fails or hangs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import MEASURES, PARTS, Part
from benchmarks.serving.composing import low_rank_operations, operations, seconds
from benchmarks.serving.encoders import clip_vit_l
from tests.model_zoo import ModelZoo
from video import load_backbone


def python(name: str, limit_s: float, code: str) -> Part:
    return Part(name, limit_s, (sys.executable, "-c", code))


def test_the_parts_take_eight_minutes_at_most() -> None:
    assert sum(part.limit_s for part in PARTS) <= 480
    named = {part.name for part in PARTS if "benchmarks.gpu" in part.command}
    assert named == set(MEASURES)


def test_a_part_that_fails_or_hangs_leaves_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    parts = [
        python("hangs", 0.5, "import time; time.sleep(60)"),
        python("fails", 30, "raise SystemExit(3)"),
        python("works", 30, "print('measured')"),
    ]
    assert not gpu.run(parts)
    assert time.monotonic() - began < 30
    said = capfd.readouterr().out
    assert "stopped" in said
    assert "exit status 3" in said
    assert "measured" in said
    assert gpu.run(parts[2:])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"],
        cwd=gpu.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No GPU: torch sees none here" in done.stderr


def test_composing_is_timed_on_any_model(model_zoo: ModelZoo) -> None:
    found = seconds(load_backbone(model_zoo.model("animatediff")), (1, 3), prompts=2, clips=1)
    assert found["S10: 1 encoders ÷ one"]["mean"] == 1
    assert found["S10: 3 encoders ÷ one"]["mean"] > 1
    assert found["seconds of encoding"]["3"]["n"] == 2


def test_operations_are_those_of_the_matrices() -> None:
    text_encoder = clip_vit_l()
    found = operations((1, 6))
    of_matrices = sum(
        2 * 77 * shape.numel()
        for name, shape in text_encoder.shapes.items()
        if len(shape) == 2 and "embedding" not in name
    )
    assert of_matrices < found["encoding a prompt"] < 1.1 * of_matrices
    assert low_rank_operations(text_encoder) < 0.05 * found["encoding a prompt"]
    assert 1 < found["clip"]["6 encoders ÷ one"] < found["still"]["6 encoders ÷ one"] < 1.05
