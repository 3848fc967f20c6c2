"""Hashes over tensors, not files: the same weights give the same hash, however they are stored.

Hub checkpoints of one text encoder differ in file layout, precision and names. So the tensors
themselves are hashed, in one canonical dtype (float16, little endian) under canonical names in
sorted order. A base loaded from a float32 file and from a float16 file has one fingerprint.

There are two hashes. `fingerprint` covers tensors as they are stored: it is cheap, and it proves
that a file is the one that was published. `digest` covers the weights that an encoder computes
with: it is costly, because factors have to be multiplied out in exact float64 arithmetic, so that
every machine finds the same bits. Only so does an encoder that was exported as whole matrices and
imported again keep its identity.
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
    """Hash named tensors as they are stored: `"sha256:"` and 64 hex digits.

    Names, shapes and values in float16 count. Order, memory layout, device and floating-point width
    do not.
    """
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = canonical(tensors[name])
        hasher.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        hasher.update(_little_endian(tensor))
    return f"sha256:{hasher.hexdigest()}"


def digest(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> str:
    """Return an encoder's identity: the fingerprint of the tensors that differ from `base`.

    It covers the weights that are computed with, not the form in which they are stored. Factors
    have the digest of the matrices that they make, and an override that equals the base does not
    count. Each tensor is rounded to the base's dtype before float16, so that a checkpoint in that
    dtype, which cannot hold more, has the same digest.
    """
    return fingerprint(_differing(base, low_rank.exact(base, overrides)))


def effective(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the overrides that change `base`, as they are stored: float16, on the CPU."""
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
    """Return `tensor` detached, float16, contiguous, on the CPU."""
    return tensor.detach().to("cpu", CANONICAL_DTYPE).contiguous()


def _little_endian(tensor: Tensor) -> bytes:
    array = tensor.numpy()
    return (array if sys.byteorder == "little" else array.byteswap()).tobytes()
