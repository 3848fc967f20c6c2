"""Text-to-video: the backbone, the loop that owns the device, clips in and out.

Importing this package does not import torch; loading a backbone and starting an engine do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video.backbone import Backbone, BackboneInvalid, Limits, NotStepped
    from video.engine import Engine, EngineStats
    from video.load import load_backbone, load_text_encoder
    from video.prompt_book import PromptBook
    from video.requests import (
        Cancelled,
        EngineStopped,
        GenerationRequest,
        OutOfMemory,
        RequestInvalid,
        Ticket,
    )

_HOMES = {
    "Backbone": "video.backbone",
    "BackboneInvalid": "video.backbone",
    "NotStepped": "video.backbone",
    "Cancelled": "video.requests",
    "Engine": "video.engine",
    "EngineStats": "video.engine",
    "EngineStopped": "video.requests",
    "GenerationRequest": "video.requests",
    "Limits": "video.backbone",
    "OutOfMemory": "video.requests",
    "PromptBook": "video.prompt_book",
    "RequestInvalid": "video.requests",
    "Ticket": "video.requests",
    "load_backbone": "video.load",
    "load_text_encoder": "video.load",
}

__all__ = [
    "Backbone",
    "BackboneInvalid",
    "Cancelled",
    "Engine",
    "EngineStats",
    "EngineStopped",
    "GenerationRequest",
    "Limits",
    "NotStepped",
    "OutOfMemory",
    "PromptBook",
    "RequestInvalid",
    "Ticket",
    "load_backbone",
    "load_text_encoder",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'video' has no attribute {name!r}")
