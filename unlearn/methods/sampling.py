"""Random draws without replacement."""

from __future__ import annotations

import torch


def draw(population: int, count: int, generator: torch.Generator) -> list[int]:
    """Return `count` different indices below `population` in random order, or all if fewer."""
    return torch.randperm(population, generator=generator)[:count].tolist()
