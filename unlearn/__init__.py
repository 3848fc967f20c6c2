"""Unlearning: make a text encoder forget concepts, and judge how well it did.

    from encoders import Concept
    from unlearn import UnlearnTask, unlearn

    run = unlearn(UnlearnTask((Concept(name="pogo", kind="character"),)), backbone)
    for progress in run:
        print(progress.step, progress.loss)
    run.encoder

Everything else is imported from its own module. Importing this package does not import torch;
`unlearn` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn.settings import UnlearnSettings
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from unlearn.methods.optimise import unlearn

__all__ = ["UnlearnSettings", "UnlearnTask", "unlearn"]


def __getattr__(name: str) -> Any:
    if name == "unlearn":
        from unlearn.methods import optimise

        return optimise.unlearn
    raise AttributeError(f"module 'unlearn' has no attribute {name!r}")
