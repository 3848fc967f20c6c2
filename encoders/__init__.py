"""An unlearned encoder: its card, its overrides, the store that keeps it, what is resident.

The base text encoder is loaded once and never written to. An unlearned encoder is a mapping from
parameter name to tensor, which replaces the base's tensors for the length of one call; the
unmodified encoder is the one with no overrides.

Importing this package imports none of its modules: a name does so when it is used, since the server
answers before it needs the card's. Classes and functions that need torch are imported from their
modules: `encoders.store`, `encoders.text_encoder`, `encoders.residency`, `encoders.exchange`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from encoders.card import Card, CardMember, Concept, EncoderId, EncoderRef, Kind, check_id
    from encoders.encoder import Encoder
    from encoders.errors import (
        AliasExists,
        AliasNotFound,
        CompositeInvalid,
        EncoderDamaged,
        EncoderExists,
        EncoderFailedAudit,
        EncoderInUse,
        EncoderInvalid,
        EncoderJudged,
        EncoderNotFound,
        InvalidId,
        MemberNotCalibrated,
        MemberUnusable,
        PalimpsestError,
        ReportNotFound,
    )

_MODULES = {
    **dict.fromkeys(
        ("Card", "CardMember", "Concept", "EncoderId", "EncoderRef", "Kind", "check_id"),
        "encoders.card",
    ),
    "Encoder": "encoders.encoder",
}
"""Modules of the names; the errors are in `encoders.errors`."""

__all__ = [
    "AliasExists",
    "AliasNotFound",
    "Card",
    "CardMember",
    "CompositeInvalid",
    "Concept",
    "Encoder",
    "EncoderDamaged",
    "EncoderExists",
    "EncoderFailedAudit",
    "EncoderId",
    "EncoderInUse",
    "EncoderInvalid",
    "EncoderJudged",
    "EncoderNotFound",
    "EncoderRef",
    "InvalidId",
    "Kind",
    "MemberNotCalibrated",
    "MemberUnusable",
    "PalimpsestError",
    "ReportNotFound",
    "check_id",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "encoders.errors")), name)
    raise AttributeError(f"module 'encoders' has no attribute {name!r}")
