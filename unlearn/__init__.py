"""Unlearning: make a text encoder forget concepts, and judge how well it did.

    from encoders import Concept
    from unlearn import UnlearnTask, unlearn

    run = unlearn(UnlearnTask((Concept(name="pogo", kind="character"),)), backbone)
    for progress in run:
        print(progress.step, progress.loss)
    run.encoder

`merge` makes one plain encoder of several. Everything else is imported from its own module.
Importing this package imports none of its modules. `UnlearnTask` needs NumPy, `unlearn` and `merge`
need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearn.methods.merge import merge
    from unlearn.methods.optimise import unlearn
    from unlearn.settings import UnlearnSettings
    from unlearn.task import UnlearnTask

_MODULES = {
    "UnlearnSettings": "unlearn.settings",
    "UnlearnTask": "unlearn.task",
    "merge": "unlearn.methods.merge",
    "unlearn": "unlearn.methods.optimise",
}

__all__ = ["UnlearnSettings", "UnlearnTask", "merge", "unlearn"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'unlearn' has no attribute {name!r}")
