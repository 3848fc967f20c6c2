"""The unit of a drift: retention weighs the same whatever the scale of embeddings."""

from __future__ import annotations

import pytest
import torch

from benchmarks.harness import WEIGHTS
from unlearn.methods import objectives
from unlearn.methods.scales import drift_unit
from video import load_backbone
from video.models.backbone import Backbone


def scaled(factor: float) -> Backbone:
    """Return the built-in model with embeddings of another scale."""
    backbone = load_backbone(WEIGHTS)
    tensors = backbone.text_encoder.parameters()
    for name in ("weight", "bias"):
        tensors[f"text_model.final_layer_norm.{name}"].mul_(factor)
    return backbone


@pytest.mark.parametrize(
    ("factor", "unit"), [(1.0, 1.0), (0.7, 1.0), (1.6, 1.0), (0.1, 0.04), (10.0, 25.0)]
)
def test_the_unit_is_1_for_the_built_in_scale_and_grows_with_its_square(
    factor: float, unit: float
) -> None:
    backbone = scaled(factor)
    found = drift_unit(backbone, backbone.prompts.retain)
    assert found == (1.0 if unit == 1.0 else pytest.approx(unit, rel=0.15))


def test_a_drift_in_its_unit_is_in_proportion_to_the_embeddings_square() -> None:
    then, now = torch.randn(2, 3, 5, 8)
    small = objectives.drift(0.1 * now, 0.1 * then, 0.01 * 1.0)
    torch.testing.assert_close(small, 0.01 * objectives.drift(now, then))


def test_rows_that_are_not_read_count_all_terms_less_alike() -> None:
    then, now = torch.randn(2, 3, 5, 8)
    padded = [torch.nn.functional.pad(one, (0, 0, 0, 15)) for one in (now, then)]
    torch.testing.assert_close(objectives.drift(*padded), objectives.drift(now, then) / 4)
