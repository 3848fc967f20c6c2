"""One tiny model of every family and one of each twin, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny_families


class Shelf:
    """Model directories, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def model(self, family: str) -> Path:
        path = self._folder / family
        return path if path.exists() else tiny_families.build(family, path)

    def twin(self, family: str) -> Path:
        path = self._folder / f"{family}-twin"
        return path if path.exists() else tiny_families.build_twin(family, path)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("families"))
