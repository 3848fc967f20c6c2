"""Where a model's parts are: on the device, or in main memory until they are used."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn


class Movable(Protocol):
    """A module, or something like one."""

    def to(self, device: Any, /) -> Any:
        """Moves it there."""
        ...


class Placement:
    """Args:
    device: where everything is computed.
    offloads: keep only the part that was used last on the device. Then what needs two parts in turn
        moves them in turn: a denoiser is moved once a request that has the device to itself, and
        more often when several alternate with the decoding of others.
    """

    def __init__(self, device: torch.device | str, *, offloads: bool = False) -> None:
        self.device = torch.device(device)
        self.offloads = offloads
        self._present: Movable | None = None

    def put(self, module: nn.Module) -> Any:
        """A module, frozen, on the device; or left where it is until it is fetched."""
        module.eval().requires_grad_(False)
        return module if self.offloads else module.to(self.device)

    def fetch(self, part: Movable) -> None:
        """Has a part on the device, and if it offloads no other."""
        if not self.offloads or part is self._present:
            return
        if self._present is not None:
            self._present.to("cpu")
        part.to(self.device)
        self._present = part
