"""Models of the answers of `/v1/usage`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class UsageFigures(BaseModel):
    """Limits of a key, or what it uses of them now. As a limit, null means none of its own."""

    queued: int | None
    """Videos that wait or are being made."""
    in_flight: int | None
    """Of these, videos that are worked on."""
    requests_per_minute: int | None
    """Requests in this minute that make, change, delete or verify something."""
    stored_bytes: int | None
    """Bytes of finished videos."""
    encoders_per_day: int | None
    """Encoders asked for today, in UTC; judging one counts too."""
    queued_encoders: int | None
    """Encoders that wait or are being made."""


class UsageDay(BaseModel):
    """Usage of a key on one day. Deleting a video or an encoder does not lower it."""

    day: str
    """Day in UTC."""
    requests: int
    """Requests that make, change, delete or verify something."""
    videos: int
    """Videos accepted."""
    encoders: int
    """Encoders accepted, to be made or judged."""
    device_seconds: float
    """Seconds of the device for jobs that ended or were deleted on that day. Of a step that
    several videos share, each has an equal part."""


class Usage(BaseModel):
    """Limits and usage of one key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "studio",
                    "object": "usage",
                    "limits": {
                        "queued": 500,
                        "in_flight": 16,
                        "requests_per_minute": 1200,
                        "stored_bytes": 5368709120,
                        "encoders_per_day": 50,
                        "queued_encoders": 8,
                    },
                    "used": {
                        "queued": 3,
                        "in_flight": 2,
                        "requests_per_minute": 4,
                        "stored_bytes": 1310720,
                        "encoders_per_day": 1,
                        "queued_encoders": 0,
                    },
                    "days": [
                        {
                            "day": "2026-11-28",
                            "requests": 40,
                            "videos": 36,
                            "encoders": 1,
                            "device_seconds": 151.25,
                        }
                    ],
                }
            ]
        }
    )

    id: str
    """Id of the key."""
    object: Literal["usage"] = "usage"
    limits: UsageFigures
    used: UsageFigures
    """Usage now, by the names of the limits."""
    days: list[UsageDay]
    """Days on which the key used something, newest first."""
