"""Places in which a server of the tests has put its files."""

from __future__ import annotations

from pathlib import Path

from server.runtime import Runtime
from server.storage.video_files import FILE_NAMES, Variant


def stored(runtime: Runtime, video_id: str, variant: Variant = "video") -> Path:
    """Return the path of a video's file in the data directory."""
    return runtime.settings.data_dir / "videos" / video_id / FILE_NAMES[variant]
