"""Size, length and effort of a video: what was asked for, against what the backbone can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.errors import InvalidRequest
from server.schemas import VideoRequest
from server.settings import Settings

if TYPE_CHECKING:
    from video.backbone import Limits

_DEFAULT_SIDE = 512


@dataclass(frozen=True)
class Shape:
    """All of it decided."""

    frames: int
    fps: int
    width: int
    """Delivered, in pixels; the backbone's own frames are enlarged."""
    height: int
    steps: int
    guidance: float


def shape_of(request: VideoRequest, limits: Limits, settings: Settings) -> Shape:
    """What to make for this request. Raises InvalidRequest, naming what can be made."""
    steps = request.steps or limits.steps_default
    most_steps = min(limits.steps_max, settings.max_steps)
    if steps > most_steps:
        raise InvalidRequest(
            f"steps is {steps}; this model takes 1 to {most_steps}.", param="steps"
        )
    fps = request.fps or limits.fps_default
    frames = _frames(request, fps, limits)
    most_frames = min(limits.frames_max, settings.max_frames)
    if frames > most_frames:
        param = "frames" if request.frames is not None else "seconds"
        raise InvalidRequest(
            f"{frames} frames at {fps} fps; this model makes 1 to {most_frames} frames, "
            f"which is {most_frames / fps:g} seconds at {fps} fps.",
            param=param,
        )
    width, height = _size(request, limits, settings)
    guidance = limits.guidance_default if request.guidance is None else request.guidance
    return Shape(frames, fps, width, height, steps, guidance)


def _frames(request: VideoRequest, fps: int, limits: Limits) -> int:
    if request.seconds is None:
        return request.frames or limits.frames_default
    exact = request.seconds * fps
    frames = round(exact)
    if frames < 1 or abs(exact - frames) > 0.01:
        raise InvalidRequest(
            f"{request.seconds:g} seconds at {fps} fps are {exact:g} frames, not a whole number; "
            f"{max(1, frames)} frames are {max(1, frames) / fps:g} seconds.",
            param="seconds",
        )
    if request.frames is not None and request.frames != frames:
        raise InvalidRequest(
            f"{request.seconds:g} seconds at {fps} fps are {frames} frames, and frames is "
            f"{request.frames}: send one of them.",
            param="seconds",
        )
    return frames


def _size(request: VideoRequest, limits: Limits, settings: Settings) -> tuple[int, int]:
    native_width, native_height = limits.native_width, limits.native_height
    size = request.pixels()
    if size is None:
        times = max(1, _DEFAULT_SIDE // max(native_width, native_height))
        return native_width * times, native_height * times
    width, height = size
    fits = (
        width * native_height == height * native_width
        and native_width <= width
        and max(width, height) <= settings.max_side
        and width % 2 == 0
        and height % 2 == 0
    )
    if not fits:
        times = max(1, settings.max_side // max(native_width, native_height))
        raise InvalidRequest(
            f"size {width}x{height} cannot be delivered: this model makes {native_width}x"
            f"{native_height}, delivered at even sizes of that shape up to "
            f"{native_width * times}x{native_height * times}.",
            param="size" if request.width is None else "width",
        )
    return width, height
