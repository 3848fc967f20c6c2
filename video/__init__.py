"""Text-to-video: models, the engine that runs them, and clips as files.

Importing this package does not import torch; loading a model does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video.engine.engine import Engine
    from video.generation_request import GenerationRequest
    from video.load import load_backbone, load_text_encoder

_MODULES = {
    "Engine": "video.engine.engine",
    "GenerationRequest": "video.generation_request",
    "load_backbone": "video.load",
    "load_text_encoder": "video.load",
}

__all__ = ["Engine", "GenerationRequest", "load_backbone", "load_text_encoder"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'video' has no attribute {name!r}")
