"""Fixtures for the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from encoders.store import EncoderStore
from tests.video.help import WAIT, make_engine
from video import Engine, load_backbone
from video.models.backbone import Backbone


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    """Load the tiny model."""
    return load_backbone(tiny_backbone_dir)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EncoderStore:
    """Make an empty store."""
    return EncoderStore(str(tmp_path_factory.mktemp("store")))


@pytest.fixture
def engine(backbone: Backbone, store: EncoderStore) -> Iterator[Engine]:
    """Run an engine over the tiny model and the store."""
    engine = make_engine(backbone, store)
    engine.start()
    engine.wait_ready(WAIT)
    yield engine
    engine.stop(WAIT)
