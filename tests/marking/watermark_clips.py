"""Clips that the watermark's tests mark, and copies of them as others pass them on."""

from __future__ import annotations

from benchmarks.marking.alterations import encoded_again
from starter.scene import Scene
from video.clip import decode_mp4, encode_mp4, enlarge
from video.frames import Frames

SECRET = b"the secret of the tests' server"
OTHER_SECRET = b"the secret of another's server!"
CANDIDATES = [f"video_{number:04d}" for number in range(1000)]
CLIP = CANDIDATES[417]


def drawn(style: str = "plain", motion: str = "sliding", side: int = 512) -> Frames:
    """Draw a clip of six frames at the size of a delivered one."""
    scene = Scene("pogo", style, "meadow", motion, 1, 32.0, 36.0, 16.0, 0)
    return enlarge(scene.clip(6), (side, side))


def delivered(frames: Frames) -> Frames:
    """Return frames as the server's mp4 holds them."""
    return decode_mp4(encode_mp4(frames, 8))


def copied(frames: Frames, crf: int = 23) -> Frames:
    """Return frames encoded again, at ffmpeg's defaults."""
    return encoded_again(frames, crf)
