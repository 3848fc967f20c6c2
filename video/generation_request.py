"""Generation request: a clip or a still to make. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from encoders import EncoderRef, PalimpsestError
from video.capabilities import Capabilities


class RequestInvalid(PalimpsestError, ValueError):
    """A request that exceeds the backbone's capabilities; `param` names the field."""

    code = "invalid_request"


@dataclass(frozen=True)
class GenerationRequest:
    """A clip to make, or with `frames=None` one still of the image twin."""

    prompt: str
    negative_prompt: str = ""
    encoder: EncoderRef | None = None
    """Encoder as it was resolved when the request was accepted; None for the base encoder."""
    seed: int = 0
    steps: int = 20
    guidance: float = 3.5
    """Scale of classifier-free guidance; there is none up to 1."""
    frames: int | None = 12
    low_priority: bool = False
    """True if the request runs in spare moments only."""
    owner: str = ""
    """Name of the party whose time it takes: the engine's turns are fair between owners."""
    deadline: float | None = None
    """Time on `time.perf_counter`'s clock after which the result is of no use."""

    def check(self, capabilities: Capabilities) -> None:
        """Raise RequestInvalid if a backbone with these capabilities cannot make it."""
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
