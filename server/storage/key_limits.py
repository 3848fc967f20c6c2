"""Limits of a key: what one key may have queued, stored and asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.settings import Settings

_Count = Annotated[int, Field(strict=True, ge=0, le=1 << 53)]


class OwnLimits(BaseModel):
    """Limits that are set with a key. Those that are absent have the settings' values.

    0 allows none. Unknown names, negative numbers and fractions are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    queued: _Count | None = None
    """Videos that wait or are being made."""
    in_flight: Annotated[int, Field(strict=True, ge=1, le=1 << 53)] | None = None
    """Of these, videos that are worked on at a time. At least 1, or none would ever be made."""
    requests_per_minute: _Count | None = None
    """Requests that make, change, delete or verify something."""
    stored_bytes: _Count | None = None
    """Bytes of finished videos, above which no more are accepted."""
    encoders_per_day: _Count | None = None
    """Encoders asked for on one day in UTC; judging one counts too."""
    queued_encoders: _Count | None = None
    """Encoders that wait or are being made."""


def checked(limits: object) -> dict[str, int]:
    """Return the limits of a key, without those that are null.

    Raises:
        ValidationError: A name is unknown, or a value cannot be used.
    """
    return OwnLimits.model_validate(limits).model_dump(exclude_none=True)


@dataclass(frozen=True)
class Limits:
    """Limits that hold for one caller; None: there is no limit of its own."""

    queued: int | None = None
    in_flight: int | None = None
    requests_per_minute: int | None = None
    stored_bytes: int | None = None
    encoders_per_day: int | None = None
    queued_encoders: int | None = None


KEYLESS = Limits()
"""Limits of the caller of a server without keys: the server's own, and nothing else."""


def limits_of(own: Mapping[str, int], settings: Settings, slots: int) -> Limits:
    """Return the limits of a key: its own ones, and the settings' for the rest.

    Args:
        own: Its own.
        settings: The server's.
        slots: Videos that are worked on at a time, on all replicas together.
    """
    in_flight = min(settings.videos_in_flight_per_key or max(1, slots // 2), slots)
    usual = Limits(
        queued=settings.key_queued,
        in_flight=in_flight,
        requests_per_minute=settings.key_requests_per_minute,
        stored_bytes=settings.key_stored_bytes,
        encoders_per_day=settings.key_encoders_per_day,
        queued_encoders=settings.key_queued_encoders,
    )
    return Limits(**{**usual.__dict__, **own})
