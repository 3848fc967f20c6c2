"""Hashes over tensors, not files: the same weights give the same hash, however they are stored.

Hub checkpoints of one encoder differ in file layout, precision and names. So what is hashed is the
tensors themselves, in one canonical dtype (float16, little endian) under canonical names in sorted
order. A base loaded from a float32 and from a float16 file has one fingerprint.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping

import torch
from torch import Tensor

from encoders import low_rank

CANONICAL_DTYPE = torch.float16


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Hash of a set of named tensors: ``"sha256:"`` and 64 hex digits.

    Order, memory layout, device and floating-point width do not matter; names, shapes and values in
    float16 do.
    """
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = canonical(tensors[name])
        hasher.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        hasher.update(_little_endian(tensor))
    return f"sha256:{hasher.hexdigest()}"


def digest(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> str:
    """Identity of an encoder: the fingerprint of those of its tensors that differ from ``base``.

    Over what is computed with, not over what is stored: factors have the digest of the matrices
    that they make, and an override that says what the base says anyway does not change it. It is
    rounded to the base's dtype before it is to float16, so that a checkpoint in that dtype, which
    has no more to say, has the same digest.
    """
    return fingerprint(_differing(base, low_rank.exact(base, overrides)))


def effective(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The overrides that change ``base``, in the form they are stored: float16, on the CPU."""
    changed = _differing(base, low_rank.exact(base, overrides))
    return {
        name: canonical(tensor)
        for name, tensor in overrides.items()
        if low_rank.parameter_of(name) in changed
    }


def _differing(base: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in base or not torch.equal(tensor, canonical(base[name]))
    }


def canonical(tensor: Tensor) -> Tensor:
    """``tensor`` detached, float16, contiguous, on the CPU."""
    return tensor.detach().to("cpu", CANONICAL_DTYPE).contiguous()


def _little_endian(tensor: Tensor) -> bytes:
    array = tensor.numpy()
    return (array if sys.byteorder == "little" else array.byteswap()).tobytes()
