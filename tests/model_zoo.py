"""Tiny models of every family, each built when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from tests import tiny, tiny_families


class ModelZoo:
    """Model directories in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def model(self, family: str) -> Path:
        """A model of that family."""
        path = self._folder / family
        if path.exists():
            return path
        return tiny.build(path) if family == "animatediff" else tiny_families.build(family, path)

    def twin(self, family: str) -> Path:
        """The image twin of a family that has one apart."""
        path = self._folder / f"{family}-twin"
        return path if path.exists() else tiny_families.build_twin(family, path)
