"""Overrides as bytes: safetensors in float16 and nothing else, checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from encoders.card import Card
from encoders.digest import CANONICAL_DTYPE, canonical, fingerprint
from encoders.encoder import Encoder
from encoders.errors import EncoderInvalid

MAX_HEADER_BYTES = 1 << 20


def to_bytes(overrides: Mapping[str, Tensor]) -> bytes:
    """Write overrides as a safetensors file: float16, the same bytes for equal tensors."""
    return save({name: canonical(overrides[name]) for name in sorted(overrides)})


def from_bytes(data: bytes) -> dict[str, Tensor]:
    """Read a file that `to_bytes` wrote, onto the CPU. Nothing in it is ever executed.

    Raises:
        EncoderInvalid: It is not safetensors (a pickle, say), it is truncated, its header is larger
            than 1 MiB, or a tensor is not float16.
    """
    header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_bytes > min(MAX_HEADER_BYTES, len(data) - 8):
        raise EncoderInvalid(
            f"Not a safetensors file: its {len(data)} bytes do not start with a header of at most "
            f"{MAX_HEADER_BYTES} bytes. Overrides are read from safetensors only."
        )
    try:
        overrides = load(data)
    except SafetensorError as error:
        raise EncoderInvalid(f"Not a whole safetensors file: {error}") from error
    for name, tensor in overrides.items():
        if tensor.dtype != CANONICAL_DTYPE:
            raise EncoderInvalid(
                f"Tensor {name!r} is stored as {tensor.dtype}; overrides are stored in float16."
            )
    return overrides


def data_of(encoder: Encoder) -> bytes:
    """Return the file of an encoder.

    Raises:
        EncoderInvalid: The card belongs to other overrides.
    """
    card, found = encoder.card, fingerprint(encoder.overrides)
    if found != card.stored:
        raise EncoderInvalid(
            f"The card is of overrides {card.stored}, but these are {found}. "
            "Make the encoder with Encoder.of(base, overrides, …)."
        )
    return to_bytes(encoder.overrides)


def encoder_of(card: Card, data: bytes) -> Encoder:
    """Return the encoder that a card and a file are of.

    Raises:
        EncoderInvalid: The file cannot be read, or belongs to another card.
    """
    overrides = from_bytes(data)
    found = fingerprint(overrides)
    if found != card.stored:
        raise EncoderInvalid(
            f"The overrides of encoder {card.id!r} are not the ones it was published with: "
            f"their fingerprint is {found}, its card says {card.stored}."
        )
    return Encoder(card, overrides)
