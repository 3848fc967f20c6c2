"""Places in which the tests' servers store: those that pytest's `--database` and `--store` name."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

_chosen: dict[str, Callable[[Path], str]] = {"database": lambda _: "", "store": lambda _: ""}
"""Setting → function that returns its value for a data directory; "" is the directory itself."""


@contextmanager
def chosen(setting: str, make: Callable[[], str]) -> Generator[None]:
    """Have every data directory's server get a place of its own inside the block.

    Args:
        setting: "database" or "store".
        make: Makes a new one, and returns its URL.
    """
    urls: dict[Path, str] = {}

    def of(data: Path) -> str:
        if data not in urls:
            urls[data] = make()
        return urls[data]

    before = _chosen[setting]
    _chosen[setting] = of
    try:
        yield
    finally:
        _chosen[setting] = before


def places_of(data: Path) -> dict[str, str]:
    """Return the settings `database` and `store` of a server on a data directory."""
    return {setting: of(data) for setting, of in _chosen.items()}
