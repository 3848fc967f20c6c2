"""Frames: `uint8` RGB arrays, and the check that an array holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Frames: TypeAlias = NDArray[np.uint8]
"""(F,H,W,3): a clip's frames, or pictures of one size. (N,F,H,W,3): several clips."""

_SHAPES = {4: "(F,H,W,3)", 5: "clips (N,F,H,W,3)"}


def check_frames(
    frames: NDArray[Any],
    *,
    dimensions: tuple[int, ...] = (4,),
    name: str = "Frames",
    error: Callable[[str], Exception] = ValueError,
) -> None:
    """Raise an error unless an array holds RGB frames.

    Args:
        frames: the array to check.
        dimensions: allowed numbers of dimensions: 4 for (F,H,W,3), 5 for (N,F,H,W,3).
        name: the array's name in the message.
        error: makes the exception of the message.

    Raises:
        ValueError: or what `error` makes: the array is not `uint8`, has another shape or is empty.
    """
    shape = frames.shape
    if frames.dtype != np.uint8 or len(shape) not in dimensions or shape[-1] != 3:
        wanted = " or ".join(_SHAPES[count] for count in dimensions)
        raise error(f"{name} must be uint8 {wanted}, not {frames.dtype} {shape}.")
    if not frames.size:
        raise error(f"{name} are empty: their shape is {shape}.")
