"""Models of the answer of `/v1/load`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

JobKind = Literal["video", "encoder"]


class PendingJobs(BaseModel):
    """Jobs of one key and kind that wait, or are being made."""

    key: str
    kind: JobKind
    queued: int
    in_progress: int


class DeviceLoad(BaseModel):
    """Work of the device since the server started, in seconds: two answers give a share."""

    up_seconds: float
    busy_seconds: float
    """Of `up_seconds`, those in which the loop took steps of any kind."""
    denoise_seconds: float
    """Of `busy_seconds`, those in the denoiser, for requests and for judging."""
    memory_used_bytes: int | None
    """Memory of the device that is in use by any process; null on a CPU."""
    memory_total_bytes: int | None


class ResidentEncoder(BaseModel):
    """An encoder on the device."""

    id: str
    bytes: int
    in_use: bool


class FailedJob(BaseModel):
    """A job that failed. Its prompt is not told."""

    id: str
    kind: JobKind
    key: str
    model: str | None
    """Model of a video, null for an encoder."""
    code: str
    message: str
    failed_at: int


class ServerLoad(BaseModel):
    """Work of the server that answers, just now. Jobs are those of all servers."""

    object: Literal["load"] = "load"
    pending: list[PendingJobs]
    device: DeviceLoad | None
    """Null for a server that takes requests only."""
    process_bytes: int
    """Memory of the process."""
    residents: list[ResidentEncoder]
    """Encoders on the device, the most recently used first; at most a hundred."""
    resident_count: int
    resident_bytes: int
    failures: list[FailedJob]
    """The last twenty jobs that failed and were not deleted, newest first."""
