"""Model zoo: tiny models of every family, each built at its first use."""

from __future__ import annotations

from pathlib import Path

from tests import tiny, tiny_families


class ModelZoo:
    """Directories of tiny models in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def model(self, family: str) -> Path:
        """Return the directory of a family's model."""
        path = self._folder / family
        if path.exists():
            return path
        return tiny.build(path) if family == "animatediff" else tiny_families.build(family, path)

    def twin(self, family: str) -> Path:
        """Return the directory of a family's image twin."""
        path = self._folder / f"{family}-twin"
        return path if path.exists() else tiny_families.build_twin(family, path)
