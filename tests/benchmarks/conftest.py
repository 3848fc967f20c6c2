"""Fixtures for the tests of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from video import load_backbone
from video.models.backbone import Backbone


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    """Load the tiny model."""
    return load_backbone(tiny_backbone_dir)
