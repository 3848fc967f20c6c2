"""Fixtures for the tests of unlearning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unlearn.report_help import Page, files_of
from unlearn.report.model import REPORT_HTML
from video.models.prompt_book import PromptBook, read_prompts


@pytest.fixture(scope="module")
def book(tiny_backbone_dir: Path) -> PromptBook:
    """Return the tiny model's prompts."""
    return read_prompts(tiny_backbone_dir)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Return the files of a report, by name."""
    return files_of()


@pytest.fixture(scope="module")
def parsed(files: Mapping[str, bytes]) -> Page:
    """Return the parsed page of that report."""
    return Page(files[REPORT_HTML].decode())
