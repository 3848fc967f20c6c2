"""Ways: phrases that draw a concept without naming it, as they were measured on the base."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Way(BaseModel):
    """A phrase that has none of a concept's names, and with which the base draws the concept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    phrase: str = Field(min_length=1, max_length=100)
    """The phrase, as it stands in the place of the concept's name."""
    rate: Share
    """Share of the base's pictures with the phrase in which the judge saw the concept."""
    interval: tuple[Share, Share]
    """Wilson's 95 % interval of `rate`."""
    n: int = Field(ge=1)
    """Number of these pictures. Those by which the phrase was chosen are not among them."""
    forgotten: bool = True
    """True if the encoder was made to forget the phrase like a name of the concept."""
    reason: str = ""
    """The reason why it was not; empty if it was."""
