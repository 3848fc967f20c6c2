"""Low-rank overrides: W = W₀ + B·A, with far fewer numbers than W.

A parameter's change may be stored as two matrices, `<name>.lora_A` (r, in) and `<name>.lora_B`
(out, r), as in LoRA (Hu et al., arXiv 2106.09685, eq. 3, without its scale). They stay factors on
disk and on the device, and are multiplied and added to the base inside the call. So an encoder
takes the bytes of its file and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

A, B = ".lora_A", ".lora_B"
ROWS = 64
"""Rows of a matrix that are multiplied out at a time, with a hundredth of the whole's memory."""


def parameter_of(name: str) -> str:
    """Return the parameter that an override belongs to, whole or as a factor."""
    return name.removesuffix(A).removesuffix(B)


def apply(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return parameter name → the tensor to compute with, in the base's dtype and on its device.

    Differentiable with respect to `overrides`.

    Raises:
        KeyError: The base has no such parameter, or one factor of a pair is missing.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in overrides.items():
        if name.endswith(B):
            continue
        parameter = parameter_of(name)
        original = base[parameter]
        applied = tensor.to(original.device, original.dtype)
        if name.endswith(A):
            # Factors are small numbers: most of their digits would be lost in half precision.
            wide = torch.promote_types(original.dtype, torch.float32)
            a, b = (t.to(original.device, wide) for t in (tensor, overrides[parameter + B]))
            applied = (original + b @ a).to(original.dtype)
        found[parameter] = applied
    return found


def materialize(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return parameter name → the tensor in the base's dtype, on the CPU.

    The bits are the same on every machine: the base as loaded and the product of the factors in
    half precision are added in float64 and rounded to the base's dtype. A whole override is rounded
    to half precision first. `apply` differs in that it adds in float32, by a few units in the last
    place. A whole override of a parameter that the base does not have stays float16.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in overrides.items():
        parameter = parameter_of(name)
        if name == parameter:
            dtype = base[name].dtype if name in base else torch.float16
            found[name] = _half(tensor).to(dtype).contiguous()
        elif name.endswith(A):
            original = base[parameter].detach().cpu()
            change = product(_half(overrides[parameter + B]), _half(tensor))
            # Rounded to float32 first, as torch rounds float64 to a half: explicit, so that the
            # bits do not depend on how torch does it.
            found[parameter] = (original.double() + change).float().to(original.dtype).contiguous()
    return found


def exact(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of `materialize`, rounded to float16.

    A checkpoint that holds them has the same bits.
    """
    return {name: tensor.half() for name, tensor in materialize(base, overrides).items()}


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float16)


def product(b: Tensor, a: Tensor) -> Tensor:
    """Multiply B·A of float16 matrices in float64, with the same bits in any order of summation.

    Float16 numbers are multiples of 2⁻²⁴ and their products of 2⁻⁴⁸, so sums below 2⁵ are exact in
    float64. Larger numbers are split at 2⁻⁴ into two parts, each with few enough digits that sums
    of 8,192 products are exact. The four products of parts are added in a fixed order.
    """
    if len(a) * max_abs(a) * max_abs(b) < 2**5:
        return b.double() @ a.double()
    return sum(
        (y @ x for y in _split(b) for x in _split(a)), start=torch.zeros((), dtype=torch.float64)
    )


def _split(half: Tensor) -> tuple[Tensor, Tensor]:
    wide = half.double()
    high = (wide * 2**4).trunc() / 2**4
    return high, wide - high


def exact_rows(
    base: Mapping[str, Tensor], overrides: Mapping[str, Tensor], parameter: str
) -> Iterator[tuple[Any, Tensor]]:
    """Yield `exact` of one parameter some rows at a time: index of the rows, and the rows.

    This takes little memory, and the caller can stop early.
    """
    original = base[parameter]
    parts: list[Any] = [...]  # of a scalar
    if original.ndim:
        parts = [slice(row, row + ROWS) for row in range(0, len(original), ROWS)]
    names = {name for name in (parameter, parameter + A, parameter + B) if name in overrides}
    for part in parts:
        sliced = {n: overrides[n] if n.endswith(A) else overrides[n][part] for n in names}
        yield part, exact({parameter: original[part]}, sliced)[parameter]


def bound(overrides: Mapping[str, Tensor], parameter: str, original: float) -> float:
    """Return an upper bound on the magnitudes in an overridden parameter.

    It is NaN if one of the overrides holds a NaN.

    Args:
        overrides: Overrides of the parameter, whole or as factors.
        parameter: Its name.
        original: Largest magnitude in the base's parameter.
    """
    if parameter in overrides:
        return max_abs(overrides[parameter])
    a, b = overrides[parameter + A], overrides[parameter + B]
    return original + len(a) * max_abs(a) * max_abs(b)


def max_abs(tensor: Tensor) -> float:
    """Return the largest magnitude in a tensor; NaN if it holds one."""
    low, high = tensor.detach().aminmax()
    return float(torch.maximum(-low, high))


def stack(
    base: Mapping[str, Tensor], first: Mapping[str, Tensor], then: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Combine overrides: the change of `first`, and the change of `then` on top of it.

    Factors on factors have the sum of both ranks. Factors on a whole tensor are added to it. A
    whole tensor replaces whatever `first` had. Differentiable.

    Args:
        base: The base's tensors by canonical name.
        first: Overrides of `base`.
        then: Overrides of `base`, made independently of `first`.
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
            whole = first[parameter].to(base[parameter].device, base[parameter].dtype)
            found[parameter] = whole + then[parameter + B] @ tensor
        else:
            for part, at in ((A, 0), (B, 1)):
                parts = [
                    each[parameter + part] for each in (first, then) if parameter + part in each
                ]
                found[parameter + part] = torch.cat(
                    [p.to(tensor.device, tensor.dtype) for p in parts], at
                )
    return found
