"""The benchmarks at true sizes: models as large as the real ones, and a count of live bytes."""

from __future__ import annotations

import pytest
import torch

from benchmarks import memory, operations, true_sizes
from benchmarks.true_models import MODELS
from tests.model_zoo import ModelZoo
from unlearn import UnlearnSettings
from video import load_backbone
from video.models.placement import Placement

MILLIONS = {
    # text encoder, denoiser of clips, twin: as their model cards and papers say
    "SD 1.5 + AnimateDiff": (123, 859 + 454, 859),
    "ModelScope 1.7B": (340, 1411, 866),
    "CogVideoX-2b": (4762, 1694, 611),
    "Wan 2.1 1.3B": (5681, 1419, None),
    "Wan 2.1 14B": (5681, 14288, None),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_models_have_the_published_number_of_parameters(name: str) -> None:
    model = MODELS[name]
    with torch.device("meta"):
        video, twin = model.denoisers(Placement("meta"))
        text_encoder = model.text_encoder()
    found = [
        sum(p.numel() for p in module.parameters()) / 1e6 if module is not None else None
        for module in (text_encoder, video.network, twin.network if twin else None)
    ]
    assert found == [pytest.approx(n, rel=0.01) if n else None for n in MILLIONS[name]]


def test_bytes_are_counted_while_anything_holds_them() -> None:
    weight = torch.zeros(100, 100, device="meta")  # there before: counted apart

    def action() -> None:
        one = weight @ weight
        two = one + one  # 80,000 bytes at a time
        del one
        two = two.relu()  # and again
        two.add_(1)
        two.view(50, 200)

    assert memory.peak(action) == 80_000


def test_what_gradients_need_is_counted() -> None:
    def chain(learns: bool) -> int:
        weight = torch.zeros(100, 100, device="meta", requires_grad=learns)

        def action() -> None:
            x = weight
            for _ in range(10):
                x = (x @ x).sigmoid()

        return memory.peak(action)

    assert chain(learns=False) <= 3 * 40_000
    assert chain(learns=True) >= 10 * 40_000


def test_true_sizes_are_measured_by_the_same_means_on_any_model(model_zoo: ModelZoo) -> None:
    methods = {
        "redirect": UnlearnSettings(steps=3),
        "ascent": UnlearnSettings(method="ascent", steps=3),
    }
    found = true_sizes.measure(load_backbone(model_zoo.model("modelscope"), twin="self"), methods)
    assert set(found["making"]) == set(methods)
    for one in (found["few-shot images"], found["clip"], *found["making"].values()):
        assert one["seconds"] > 0
    assert set(found["embedding a prompt"]) == {"base", "encoder"}


def test_operations_are_those_of_every_step(model_zoo: ModelZoo) -> None:
    backbone = load_backbone(model_zoo.model("modelscope"), twin="self")
    methods = {
        "redirect": UnlearnSettings(steps=5),
        "ascent": UnlearnSettings(method="ascent", steps=5),
    }
    found = operations.count(backbone, methods)
    of_ours, of_ascent = found["making"]["redirect"], found["making"]["ascent"]
    for one in (of_ours, of_ascent):
        assert one["whole"] == one["before"] + 5 * one["a step"] + one["after"]
        assert one["a step"] > 0
    assert of_ours["after"] > 0  # its trigger
    for one in (of_ours, of_ascent):
        assert one["with its images"] == one["whole"] + found["few-shot images"]
    matrix = torch.zeros(8, 8)
    assert operations.operations(lambda: matrix @ matrix) == 2 * 8**3
