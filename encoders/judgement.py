"""Judgement: what a judge measured of an encoder that was published without measures."""

from __future__ import annotations

import logging

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

_logger = logging.getLogger(__name__)


class Judgement(BaseModel):
    """The measures of a later judging, stored beside the card, which never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged_at: AwareDatetime
    judge: str
    """The judge's name and version."""
    measures: dict[str, JsonValue]
    """The same as a card's measures for an encoder that was judged before it was published."""

    def to_json(self) -> bytes:
        """Return the judgement as the store keeps it."""
        return self.model_dump_json(indent=2).encode()

    @classmethod
    def of_encoder(cls, encoder_id: str, data: bytes) -> Judgement | None:
        """Read the stored judgement of an encoder; None, and a line in the log, for a damaged one.

        The encoder can be used all the same: it counts as not judged.
        """
        try:
            return cls.model_validate_json(data)
        except ValueError as error:
            _logger.warning("The judgement of encoder %r cannot be read: %s", encoder_id, error)
            return None
