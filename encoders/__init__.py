"""An unlearned encoder: its card, its overrides, the store that keeps it, what is resident.

The base text encoder is loaded once and never written to. An unlearned encoder is a mapping from
parameter name to tensor, which replaces the base's tensors for the length of one call; the
unmodified encoder is the one with no overrides.

Importing this package does not import torch. Classes and functions that need it are imported from
their modules: `encoders.store`, `encoders.text_encoder`, `encoders.residency`, `encoders.exchange`.
"""

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
