"""Claims: the persons who asked for an encoder, as its operator was told."""

from __future__ import annotations

import json
from hashlib import sha256

from pydantic import BaseModel, ConfigDict, Field


class Claim(BaseModel):
    """A claim that was made when an encoder was asked for. It is the operator's to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claimant: str = Field(default="", max_length=200)
    """Name of the person or company."""
    claim: str = Field(default="", max_length=2000)
    """Their claim, or the reference of their letter."""
    contact: str = Field(default="", max_length=200)
    made_at: int
    """Time of the request, Unix seconds."""
    salt: str = Field(max_length=64)
    """Random, so that nobody finds a claim by its digest."""

    def digest(self) -> str:
        """Return the hash by which a signed statement refers to the claim without telling it."""
        content = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False)
        return f"sha256:{sha256(content.encode()).hexdigest()}"
