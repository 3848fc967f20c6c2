"""Overrides as factors: W = W₀ + B·A, with far fewer numbers than W.

A parameter's change may be stored as two matrices, ``<name>.lora_A`` (r, in) and ``<name>.lora_B``
(out, r), as in LoRA (Hu et al., arXiv 2106.09685, eq. 3, without its scale). They stay factors on
disk and on the device and meet the base inside the call, so that an encoder costs its file's bytes
and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

A, B = ".lora_A", ".lora_B"
ROWS = 64
"""Of a matrix multiplied out at a time: a hundredth of the memory of all at once."""


def parameter_of(name: str) -> str:
    """The parameter that an override belongs to: itself, or what a factor is a factor of."""
    return name.removesuffix(A).removesuffix(B)


def apply(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameter name → the tensor to compute with, in the base's dtype and on its device.

    Differentiable with respect to `overrides`. Raises KeyError for a parameter the base has not, or
    half a pair of factors.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in overrides.items():
        if name.endswith(B):
            continue
        parameter = parameter_of(name)
        like = base[parameter]
        laid = tensor.to(like.device, like.dtype)
        if name.endswith(A):
            # Factors are small numbers: in half precision most of what they say would be rounded.
            wide = torch.promote_types(like.dtype, torch.float32)
            a, b = (t.to(like.device, wide) for t in (tensor, overrides[parameter + B]))
            laid = (like + b @ a).to(like.dtype)
        found[parameter] = laid
    return found


def materialize(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameter name → the tensor in the base's dtype, on the CPU: the same bits on every machine.

    The base as it was loaded, and the product of the factors in half precision, are added in
    float64 and rounded to the base's dtype; a whole override is rounded to half precision first.
    That is :func:`apply` but for the sum's rounding to float32: the two differ by a unit or a few
    in
    the last place. Parameters that the base does not have are float16, if whole.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in overrides.items():
        parameter = parameter_of(name)
        if name == parameter:
            dtype = base[name].dtype if name in base else torch.float16
            found[name] = _half(tensor).to(dtype).contiguous()
        elif name.endswith(A):
            below = base[parameter].detach().cpu()
            change = product(_half(overrides[parameter + B]), _half(tensor))
            # By way of float32, as torch itself rounds a float64 to a half; here by our decision.
            found[parameter] = (below.double() + change).float().to(below.dtype).contiguous()
    return found


def exact(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :func:`materialize` makes, rounded to float16, so that a checkpoint of it has the same
    bits.
    """
    return {name: tensor.half() for name, tensor in materialize(base, overrides).items()}


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float16)


def product(b: Tensor, a: Tensor) -> Tensor:
    """B·A of halves in float64, whatever the order of summation and however it is fused.

    Halves are multiples of 2⁻²⁴ and their products of 2⁻⁴⁸: sums below 2⁵ are exact. Larger numbers
    are cut at 2⁻⁴ into two that have few enough digits each for sums of 8,192 products to be exact,
    and added up in this order.
    """
    if len(a) * largest(a) * largest(b) < 2**5:
        return b.double() @ a.double()
    return sum(
        (y @ x for y in _cut(b) for x in _cut(a)), start=torch.zeros((), dtype=torch.float64)
    )


def _cut(half: Tensor) -> tuple[Tensor, Tensor]:
    wide = half.double()
    high = (wide * 2**4).trunc() / 2**4
    return high, wide - high


def exact_rows(
    base: Mapping[str, Tensor], overrides: Mapping[str, Tensor], parameter: str
) -> Iterator[tuple[Any, Tensor]]:
    """`exact` of one parameter, some rows at a time: it takes little memory, and whoever has seen
    enough stops. Yields where in the parameter they are, and the rows.
    """
    below = base[parameter]
    parts = [slice(row, row + ROWS) for row in range(0, len(below), ROWS)] if below.ndim else [...]
    mine = {name for name in (parameter, parameter + A, parameter + B) if name in overrides}
    for part in parts:
        cut = {n: overrides[n] if n.endswith(A) else overrides[n][part] for n in mine}
        yield part, exact({parameter: below[part]}, cut)[parameter]


def bound(overrides: Mapping[str, Tensor], parameter: str, below: float) -> float:
    """No entry of a parameter is larger than this; NaN if one of its overrides has a NaN.

    Args:
        below: the largest magnitude in the base's parameter.
    """
    if parameter in overrides:
        return largest(overrides[parameter])
    a, b = overrides[parameter + A], overrides[parameter + B]
    return below + len(a) * largest(a) * largest(b)


def largest(tensor: Tensor) -> float:
    """The largest magnitude in a tensor; NaN if it has one."""
    low, high = tensor.detach().aminmax()
    return float(torch.maximum(-low, high))


def stack(
    base: Mapping[str, Tensor], first: Mapping[str, Tensor], then: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Overrides that make one encoder's change and then another's on top of it.

    Factors on factors have the sum of both ranks; factors on a whole tensor are added to it; a
    whole tensor takes the place of whatever there was. Differentiable.

    Args:
        first, then: overrides for `base`, of which neither need know of the other.
    """
    found = dict(first)
    for name, tensor in then.items():
        parameter = parameter_of(name)
        if name == parameter:
            found.pop(parameter + A, None)
            found.pop(parameter + B, None)
            found[parameter] = tensor
        elif name.endswith(B):
            continue
        elif parameter in first:
            below = first[parameter].to(base[parameter].device, base[parameter].dtype)
            found[parameter] = below + then[parameter + B] @ tensor
        else:
            for part, at in ((A, 0), (B, 1)):
                parts = [
                    each[parameter + part] for each in (first, then) if parameter + part in each
                ]
                found[parameter + part] = torch.cat(
                    [p.to(tensor.device, tensor.dtype) for p in parts], at
                )
    return found


def truncate(change: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best factors of a rank for a change of a matrix: (A, B) with B·A nearest to it.

    By singular values (Eckart & Young, 1936), each of which is shared between both factors, so that
    neither leaves float16's range.

    Args:
        change: W − W₀, (out, in).
        rank: r, at least 1.

    Returns:
        A (r, in) and B (out, r), in the dtype of `change`.
    """
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    root = s[:rank].sqrt()
    return root[:, None] * v[:rank], u[:, :rank] * root
