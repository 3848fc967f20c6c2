"""Watermarks of finished clips, as the settings want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import PalimpsestError
from server.jobs.context import JobContext

if TYPE_CHECKING:
    from video.frames import Frames


class WatermarkFailed(PalimpsestError):
    """A clip that has to have a watermark and cannot hold one."""

    code = "watermark_failed"


@dataclass(frozen=True)
class Watermark:
    """The watermark of one server."""

    secret: bytes
    is_required: bool

    @classmethod
    def of(cls, context: JobContext) -> Watermark | None:
        """Return the server's watermark; None if the settings want none."""
        wanted = context.settings.watermark
        if wanted == "off":
            return None
        secret = context.storage.run("the watermark's secret", context.watermark_secret.get)
        return cls(secret, wanted == "required")

    def put(self, frames: Frames, clip_id: str) -> Frames:
        """Return the frames with the clip's mark, (F,H,W,3), at the size to deliver.

        Raises:
            WatermarkFailed: It is required, and is not found in the marked frames.
        """
        from marking.watermark import detect, mark

        marked = mark(frames, self.secret, clip_id)
        if self.is_required and detect(marked, self.secret, [clip_id]).clip_id != clip_id:
            height, width = frames.shape[1:3]
            raise WatermarkFailed(
                f"A clip of {width}x{height} pixels cannot hold the watermark that this server "
                "requires: ask for a larger size."
            )
        return marked
