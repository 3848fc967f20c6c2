"""Fixtures for the tests of the benchmarks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmarks.forgetting.experiment import Experiment, source_mark
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.sets import Members
from encoders.store import EncoderStore
from tests.prepared.make import STORE
from video import load_backbone
from video.models.backbone import Backbone

MEMBERS: Members = [("pogo", "character"), ("dottie", "style")]
"""The concepts whose encoders `prepared` has."""


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    """Load the tiny model."""
    return load_backbone(tiny_backbone_dir)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Return an experiment that has the encoders of `MEMBERS`: they are the prepared ones."""
    experiment = Experiment(tmp_path_factory.mktemp("work"))
    store = EncoderStore(STORE)
    for concept, kind in MEMBERS:
        encoder = store.load(f"no-{concept}")
        made = Intervention(
            OURS, concept, kind, encoder.overrides, encoder.card.trigger, seconds=50.0
        )
        name = f"{OURS}-{source_mark(OURS)}-{concept}"
        experiment.once(name, OURS, concept, kind, partial(lambda one: one, made))
    return experiment
