"""Text-to-video: the backbone, the loop that owns the device, clips in and out.

Importing this package does not import torch; loading a backbone and starting an engine do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video.engine.engine import Engine, EngineStats
    from video.engine.ticket import Cancelled, EngineStopped, OutOfMemory, Ticket
    from video.generation_request import GenerationRequest, RequestInvalid
    from video.load import load_backbone, load_text_encoder
    from video.models.backbone import Backbone, BackboneInvalid, Capabilities, NoNativeDenoiser
    from video.models.prompt_book import PromptBook

_HOMES = {
    "Backbone": "video.models.backbone",
    "BackboneInvalid": "video.models.backbone",
    "NoNativeDenoiser": "video.models.backbone",
    "Cancelled": "video.engine.ticket",
    "Engine": "video.engine.engine",
    "EngineStats": "video.engine.engine",
    "EngineStopped": "video.engine.ticket",
    "GenerationRequest": "video.generation_request",
    "Capabilities": "video.models.backbone",
    "OutOfMemory": "video.engine.ticket",
    "PromptBook": "video.models.prompt_book",
    "RequestInvalid": "video.generation_request",
    "Ticket": "video.engine.ticket",
    "load_backbone": "video.load",
    "load_text_encoder": "video.load",
}

__all__ = [
    "Backbone",
    "BackboneInvalid",
    "Cancelled",
    "Capabilities",
    "Engine",
    "EngineStats",
    "EngineStopped",
    "GenerationRequest",
    "NoNativeDenoiser",
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
