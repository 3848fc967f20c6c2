"""Size, length and effort of a video: what was asked for, against what the backbone can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.api.schemas import VideoRequest
from server.errors import InvalidRequest
from server.settings import Settings

if TYPE_CHECKING:
    from video.capabilities import Capabilities

_DEFAULT_SIDE = 512


@dataclass(frozen=True)
class VideoParameters:
    """All of it decided."""

    frames: int
    fps: int
    width: int
    """Delivered, in pixels; the backbone's own frames are enlarged."""
    height: int
    steps: int
    guidance: float


def parameters_of(
    request: VideoRequest, capabilities: Capabilities, settings: Settings
) -> VideoParameters:
    """What to make for this request. Raises InvalidRequest, naming what can be made."""
    steps = request.steps or capabilities.steps_default
    most_steps = min(capabilities.steps_max, settings.max_steps)
    if steps > most_steps:
        raise InvalidRequest(
            f"steps is {steps}; this model takes 1 to {most_steps}.", param="steps"
        )
    fps = request.fps or capabilities.fps_default
    frames = _frames(request, fps, capabilities)
    most_frames = min(capabilities.frames_max, settings.max_frames)
    if frames > most_frames:
        param = "frames" if request.frames is not None else "seconds"
        raise InvalidRequest(
            f"{frames} frames at {fps} fps; this model makes 1 to {most_frames} frames, "
            f"which is {most_frames / fps:g} seconds at {fps} fps.",
            param=param,
        )
    width, height = _size(request, capabilities, settings)
    guidance = capabilities.guidance_default if request.guidance is None else request.guidance
    return VideoParameters(frames, fps, width, height, steps, guidance)


def _frames(request: VideoRequest, fps: int, capabilities: Capabilities) -> int:
    if request.seconds is None:
        return request.frames or capabilities.frames_default
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


def _size(request: VideoRequest, capabilities: Capabilities, settings: Settings) -> tuple[int, int]:
    native_width, native_height = capabilities.native_width, capabilities.native_height
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
