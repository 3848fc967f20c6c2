"""Placement of a model's parts: on the device, or in main memory until they are used."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn


class Movable(Protocol):
    """A module, or another object with weights that can move."""

    def to(self, device: Any, /) -> Any:
        """Move the weights to a device."""
        ...


class Placement:
    """The device, and the choice of parts that stay on it.

    Args:
        device: the device that computes everything.
        offloads: keep only the last used part on the device, and the others in main memory. Then
            using two parts in turn moves them in turn: a denoiser moves once for a request alone,
            and more often when its steps alternate with the decoding of other requests.
    """

    def __init__(self, device: torch.device | str, *, offloads: bool = False) -> None:
        self.device = torch.device(device)
        self.offloads = offloads
        self._present: Movable | None = None

    def put(self, module: nn.Module) -> Any:
        """Freeze a module and return it, moved to the device unless it is offloaded."""
        module.eval().requires_grad_(False)
        return module if self.offloads else module.to(self.device)

    def fetch(self, part: Movable) -> None:
        """Move a part to the device; with offloading, move the last one to main memory first."""
        if not self.offloads or part is self._present:
            return
        if self._present is not None:
            self._present.to("cpu")
        part.to(self.device)
        self._present = part
