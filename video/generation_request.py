"""A request for a clip or a still. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import PalimpsestError

if TYPE_CHECKING:
    from video.models.backbone import Capabilities


class RequestInvalid(PalimpsestError, ValueError):
    """The backbone cannot do what the request asks; `param` says which part of it."""

    code = "invalid_request"


@dataclass(frozen=True)
class GenerationRequest:
    """A clip, or for `frames=None` one still of the image twin.

    `encoder` is (id, digest) as resolved when the request was accepted; None is the unmodified
    encoder. `guidance` up to 1 means none. `low_priority` work runs in spare moments. `deadline` is
    when it is of no more use, on `time.perf_counter`'s clock.
    """

    prompt: str
    negative_prompt: str = ""
    encoder: tuple[str, str] | None = None
    seed: int = 0
    steps: int = 20
    guidance: float = 3.5
    frames: int | None = 12
    low_priority: bool = False
    deadline: float | None = None

    def check(self, capabilities: Capabilities) -> None:
        """Raises RequestInvalid if a backbone with these limits cannot do it."""
        if not 1 <= self.steps <= capabilities.steps_max:
            raise RequestInvalid(
                f"steps must be 1 to {capabilities.steps_max}, not {self.steps}.", param="steps"
            )
        if self.frames is not None and not 1 <= self.frames <= capabilities.frames_max:
            raise RequestInvalid(
                f"frames must be 1 to {capabilities.frames_max}, not {self.frames}.", param="frames"
            )
        if not 0 <= self.guidance <= 100:
            raise RequestInvalid(
                f"guidance must be 0 to 100, not {self.guidance}.", param="guidance"
            )
        if not 0 <= self.seed < 2**63:
            raise RequestInvalid(f"seed must be 0 to 2^63 − 1, not {self.seed}.", param="seed")
