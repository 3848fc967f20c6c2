"""Clip statements, which media files carry about the clips that they show."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

LABEL = "org.palimpsest.clip"
"""Label of the statement among the assertions of a C2PA manifest."""


class ClipStatement(BaseModel):
    """Statement about the clip that a file shows: no prompt, no name and no tenant."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(max_length=100)
    """The clip's id, by which its server finds the record."""
    encoder_identity: str | None = Field(max_length=100)
    """Identity of the encoder, or of the set of encoders; None: the base."""
    base: str = Field(max_length=100)
    """Fingerprint of the base text encoder."""

    @classmethod
    def of_provenance(cls, provenance: dict[str, object]) -> Self:
        """Return the statement of a clip's provenance, which has more fields."""
        return cls.model_validate(provenance)
