"""Refusals of hostile input at one door, and what is wrong with some."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import httpx


@dataclass
class Refusals:
    """Count of refusals by their kind, and inputs that were not refused as they should be."""

    how: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])


def code_of(answer: httpx.Response) -> str:
    """Return the code of an answer's error; "taken" for one that is none."""
    return "taken" if answer.is_success else str(answer.json()["error"]["code"])
