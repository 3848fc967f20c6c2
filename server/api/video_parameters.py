"""Parameters of a video: the request's values checked against the model, defaults filled in."""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.api.request_models import VideoRequest
from server.errors import InvalidRequest
from server.settings import Settings

if TYPE_CHECKING:
    from server.served_model import ServedModel
    from video.capabilities import Capabilities

_DEFAULT_SIDE = 512


@dataclass(frozen=True)
class VideoParameters:
    """All values but the encoder that decide a video's pixels.

    The fields have the names of `VideoRecord`'s columns, so that `asdict` fills a record.
    """

    prompt: str
    """The text that the model reads."""
    negative_prompt: str
    is_cut: bool
    """True if the request's texts were longer than the model reads, and were cut."""
    seed: int
    steps: int
    guidance: float
    frames: int
    fps: int
    width: int
    """Pixels of the delivered video. The backbone's own frames are enlarged to it."""
    height: int
    """Pixels of the delivered video."""


def parameters_of(request: VideoRequest, model: ServedModel, settings: Settings) -> VideoParameters:
    """Return the parameters of the video to make.

    A seed is drawn if the request has none.

    Raises:
        InvalidRequest: the model or this server cannot make such a video; the message says what
            can be made.
    """
    capabilities = model.capabilities
    prompt = _fitting("prompt", request.prompt, request, model, settings)
    negative = _fitting("negative_prompt", request.negative_prompt, request, model, settings)
    fps = request.fps or capabilities.fps_default
    steps = _steps(request, capabilities, settings)
    frames = _frames(request, fps, capabilities, settings)
    width, height = _size(request, capabilities, settings)
    return VideoParameters(
        prompt=prompt,
        negative_prompt=negative,
        is_cut=(prompt, negative) != (request.prompt, request.negative_prompt),
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        steps=steps,
        guidance=(capabilities.guidance_default if request.guidance is None else request.guidance),
        frames=frames,
        fps=fps,
        width=width,
        height=height,
    )


def _fitting(
    param: str, text: str, request: VideoRequest, model: ServedModel, settings: Settings
) -> str:
    """Return the text if the model reads all of it; its beginning if the request allows the cut.

    Raises:
        InvalidRequest: the text is too long, and `truncate` is not set.
    """
    if len(text) > settings.max_prompt_chars:
        raise InvalidRequest(
            f"{param} has {len(text)} characters; at most {settings.max_prompt_chars} are taken.",
            param=param,
        )
    tokens, most = model.prompt_tokens(text), model.capabilities.prompt_tokens
    if tokens <= most:
        return text
    kept = kept_of(text, model)
    if request.truncate:
        return kept
    raise InvalidRequest(
        f"{param} is {tokens} tokens long, start and end included, and this model reads {most}. It "
        f"would be cut after {_end_of(kept)!r} ({len(kept)} of {len(text)} characters). Shorten "
        "it, or send truncate=true to have it cut there.",
        param=param,
        code="prompt_too_long",
    )


def _end_of(text: str) -> str:
    """Return the last words of a text, about 40 characters of them."""
    if len(text) <= 40:
        return text
    return "…" + (text[-40:].partition(" ")[2] or text[-40:])


def kept_of(text: str, model: ServedModel) -> str:
    """Return the longest beginning of whole words that the model reads; of letters, if none is."""
    most = model.capabilities.prompt_tokens
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    for places in (ends, range(len(text) + 1)):
        # More text is never fewer tokens, but for a token or two at a word's end.
        count = bisect_right(places, most, key=lambda end: model.prompt_tokens(text[:end]))
        while count > 0 and model.prompt_tokens(text[: places[count - 1]]) > most:
            count -= 1
        if count > 0 and text[: places[count - 1]].strip():
            return text[: places[count - 1]]
    return ""


def _steps(request: VideoRequest, capabilities: Capabilities, settings: Settings) -> int:
    steps = request.steps or capabilities.steps_default
    most = min(capabilities.steps_max, settings.max_steps)
    if steps > most:
        raise InvalidRequest(f"steps is {steps}; this model takes 1 to {most}.", param="steps")
    return steps


def _frames(request: VideoRequest, fps: int, capabilities: Capabilities, settings: Settings) -> int:
    if request.seconds is None:
        frames = request.frames or capabilities.frames_default
    else:
        frames = _frames_in(request, request.seconds, fps)
    most = min(capabilities.frames_max, settings.max_frames)
    if frames > most:
        raise InvalidRequest(
            f"{frames} frames at {fps} fps; this model makes 1 to {most} frames, "
            f"which is {most / fps:g} seconds at {fps} fps.",
            param="frames" if request.frames is not None else "seconds",
        )
    return frames


def _frames_in(request: VideoRequest, seconds: float, fps: int) -> int:
    """Return the number of frames in so many seconds. Raise InvalidRequest if it is not whole."""
    exact = seconds * fps
    frames = round(exact)
    if frames < 1 or abs(exact - frames) > 0.01:
        raise InvalidRequest(
            f"{seconds:g} seconds at {fps} fps are {exact:g} frames, not a whole number; "
            f"{max(1, frames)} frames are {max(1, frames) / fps:g} seconds.",
            param="seconds",
        )
    if request.frames is not None and request.frames != frames:
        raise InvalidRequest(
            f"{seconds:g} seconds at {fps} fps are {frames} frames, and frames is "
            f"{request.frames}: send one of them.",
            param="seconds",
        )
    return frames


def default_size(capabilities: Capabilities) -> tuple[int, int]:
    """Return width and height of a video whose request names none, in pixels."""
    width, height = capabilities.native_width, capabilities.native_height
    times = max(1, _DEFAULT_SIDE // max(width, height))
    return width * times, height * times


def deliverable_sizes(capabilities: Capabilities, settings: Settings) -> list[str]:
    """Return the whole multiples of the model's own size that can be delivered."""
    width, height = capabilities.native_width, capabilities.native_height
    most = max(1, settings.max_side // max(width, height))
    sizes = [(width * times, height * times) for times in range(1, most + 1)]
    return [f"{w}x{h}" for w, h in sizes if w % 2 == 0 and h % 2 == 0] or [f"{width}x{height}"]


def _size(request: VideoRequest, capabilities: Capabilities, settings: Settings) -> tuple[int, int]:
    """Return the delivered width and height: the model's aspect ratio, at an even size."""
    native_width, native_height = capabilities.native_width, capabilities.native_height
    size = request.pixels()
    if size is None:
        return default_size(capabilities)
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
