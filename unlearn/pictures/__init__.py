"""Pictures without a name: which of a model's words reach what some pictures show.

    from unlearn.pictures import name_pictures

    found = name_pictures(pictures, backbone, judge)
    found.concept

Importing this package does not import torch; `name_pictures` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearn.pictures.find import name_pictures

__all__ = ["name_pictures"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("unlearn.pictures.find"), name)
    raise AttributeError(f"module 'unlearn.pictures' has no attribute {name!r}")
