"""The answer to a search for ways."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from encoders import Kind
from encoders.way import Way


class FoundWays(BaseModel):
    """Phrases that draw a concept without naming it, as the base and the judge say."""

    object: Literal["ways"] = "ways"
    concept: str
    kind: Kind
    ways: list[Way]
    """The phrases, the surest first. Those marked as `forgotten` can be given as synonyms of the
    concept and cost nothing else; an encoder's job looks for them by itself."""
    pictures: int
    """Number of pictures that were made and judged."""
    complete: bool
    """False if the time was up before the search was done (`PALIMPSEST_WAYS_SECONDS`)."""
