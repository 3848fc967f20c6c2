"""Plan of a distillation: its length and its learning rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Length and rates of a distillation."""

    steps: int
    batch: int = 48
    matrix_rate: float = 5e-3
    """Learning rate of Muon, as that of an Adam (RMS of an update)."""
    rate: float = 2e-3
    """Learning rate of AdamW."""
    warmup: int = 50
    cooling: float = 0.6
    """The last share of the steps, over which the rates fall to zero."""
    whole_every: int = 4
    """One batch of so many is padded to all rows."""

    def share(self, step: int) -> float:
        """Return a step's share of the learning rates."""
        left = (self.steps - step) / max(1.0, self.steps * self.cooling)
        return min(1.0, (step + 1) / self.warmup, left)
