"""Making one encoder: images → optimising → judging → published, or failed with its measures."""

from __future__ import annotations

from typing import Any

PHASES: dict[str, Any] = {}


def checked_settings(*a: Any) -> dict[str, Any]:
    return {}


def save_images(*a: Any) -> None: ...
def discard(*a: Any) -> None: ...
