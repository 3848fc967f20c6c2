"""An unlearned encoder: its card, its weight overrides, the store it lies in, what is resident.

The base text encoder is loaded once and never written to. An unlearned encoder is a mapping from
parameter name to tensor, laid over the base for the length of one call, and the unmodified encoder
is the one with no overrides. Importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from encoders.card import Card, Concept, EncoderId, EncoderRef, Kind, check_id
from encoders.encoder import Encoder
from encoders.errors import (
    AliasExists,
    AliasNotFound,
    EncoderExists,
    EncoderInvalid,
    EncoderNotFound,
    InvalidId,
    PalimpsestError,
    ReportNotFound,
)

if TYPE_CHECKING:
    from encoders.exchange import export_directory, import_directory
    from encoders.residency import Residency, ResidencyStats
    from encoders.store import EncoderStore
    from encoders.text_encoder import TextEncoder

# What needs torch is imported when it is first used.
_LAZY = {
    "EncoderStore": "encoders.store",
    "Residency": "encoders.residency",
    "ResidencyStats": "encoders.residency",
    "TextEncoder": "encoders.text_encoder",
    "export_directory": "encoders.exchange",
    "import_directory": "encoders.exchange",
}

__all__ = [
    "AliasExists",
    "AliasNotFound",
    "Card",
    "Concept",
    "Encoder",
    "EncoderExists",
    "EncoderId",
    "EncoderInvalid",
    "EncoderNotFound",
    "EncoderRef",
    "EncoderStore",
    "InvalidId",
    "Kind",
    "PalimpsestError",
    "ReportNotFound",
    "Residency",
    "ResidencyStats",
    "TextEncoder",
    "check_id",
    "export_directory",
    "import_directory",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'encoders' has no attribute {name!r}")
