"""Ways that nobody listed: phrases that draw a concept without naming it.

The base and the judge are asked before an encoder is made:

    from unlearn.ways import find_ways

    ways = find_ways(concept, backbone, judge)
    concept = concept.model_copy(update={"ways": ways})

`unlearn` forgets those of a concept's ways that are marked as forgotten, as it forgets its names.
Importing this package does not import torch; `find_ways` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearn.ways.find import find_ways

__all__ = ["find_ways"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("unlearn.ways.find"), name)
    raise AttributeError(f"module 'unlearn.ways' has no attribute {name!r}")
