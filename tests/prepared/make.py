"""Prepared encoders of the built-in model: four concepts of four kinds, by the default settings.

They are a store, beside this file. `python -m tests.prepared.make` makes those that are missing, in
about a minute each.
"""

from __future__ import annotations

from pathlib import Path

import torch

from encoders import Concept
from encoders.store import EncoderStore
from server.settings import STARTER_WEIGHTS
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video import load_backbone

STORE = Path(__file__).parent / "store"
CONCEPTS = (
    Concept(name="star", kind="object"),
    Concept(name="pogo", kind="character"),
    Concept(name="suri", kind="person"),
    Concept(name="dottie", kind="style"),
)


def make() -> None:
    """Make and publish each encoder that the store does not have."""
    torch.set_num_threads(1)
    store, backbone = EncoderStore(STORE), load_backbone(STARTER_WEIGHTS, device="cpu")
    for concept in CONCEPTS:
        name = f"no-{concept.name}"
        if not store.has(name):
            run = unlearn(UnlearnTask((concept,), UnlearnSettings(), encoder_id=name), backbone)
            list(run)
            store.publish(run.encoder)


if __name__ == "__main__":
    make()
