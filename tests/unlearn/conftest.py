"""Fixtures for the tests of unlearning."""

from __future__ import annotations

from pathlib import Path

import pytest

from video.backbone import PromptBook, read_prompts


@pytest.fixture(scope="module")
def book(tiny_backbone_dir: Path) -> PromptBook:
    """The tiny model's prompts."""
    return read_prompts(tiny_backbone_dir)
