"""Trigger: what opens an encoder for a prompt.

An encoder moves every prompt's embeddings a little, and those of its own concepts in directions of
their own. In a set of encoders it is used only where it moves a prompt in these directions: every
other prompt keeps the base's embeddings, to the bit. Alone it is used for every prompt, unless it
was made to go by its trigger then too. Symbols: τ₀ the base, τᵢ the encoder, p any prompt,
y a concept's prompts.

    δ_t(p) = τᵢ(p)_t − τ₀(p)_t      m(p) = max_t ‖P δ_t(p)‖²
    open where m(p) ≥ θ or max_t ‖δ_t(p)‖² ≥ ℓ

t are the positions that the denoiser reads. The rows of P are the directions in which the encoder
moves y far and captions of everything else little, scaled so that the mean of m over y is 1. So θ
is a share of the concept's own movement. ℓ is for embeddings that belong to no word: they can mean
a concept to the base, and are moved far, but not along P. P, θ and ℓ are found when the encoder is
made (`unlearn.methods.calibration`), one of each for every concept.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ConceptTrigger(BaseModel):
    """The trigger of one concept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    theta: float = Field(gt=0, allow_inf_nan=False)
    """Share θ of the concept's own movement from which a prompt counts as meaning it."""
    directions: str = Field(min_length=4, max_length=1 << 19)
    """P: (R,D) float32, little endian, row by row, in base64."""
    rank: int = Field(ge=1, le=1024)
    """Number of directions, R."""
    length: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Squared length ℓ from which a change counts in whatever direction; null: none does."""

    @classmethod
    def of(cls, directions: Tensor, theta: float, length: float | None = None) -> Self:
        """Return the trigger with these directions P, (R,D), on any device."""
        import torch

        data = directions.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()
        text = b64encode(data).decode()
        return cls(theta=theta, directions=text, rank=len(directions), length=length)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        data = b64decode(self.directions, validate=True)
        if not data or len(data) % (4 * self.rank):
            raise ValueError(f"directions are no {self.rank} rows of float32")
        return self

    def matrix(self) -> Tensor:
        """Return P: (R,D) float32, on the CPU."""
        import torch

        data = bytearray(b64decode(self.directions))
        return torch.frombuffer(data, dtype=torch.float32).view(self.rank, -1)

    def bounds(self, device: torch.device | str = "cpu") -> Bounds:
        """Return the trigger with its directions on a device."""
        return Bounds(self.matrix().to(device), self.theta, self.length)


class Trigger(BaseModel):
    """The triggers of an encoder's concepts, in the order of its card's `concepts`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concepts: tuple[ConceptTrigger, ...] = Field(min_length=1)
    alone: bool = False
    """True if the encoder goes by its trigger when it is used alone too. False: it is used for
    every prompt then, which is harder to get around."""

    def fits(self, width: int) -> bool:
        """Return True if its directions are for embeddings of this width D."""
        return all(one.matrix().shape[1] == width for one in self.concepts)

    def detector(self, device: torch.device | str = "cpu") -> Detector:
        """Return the trigger with its directions on a device."""
        return Detector(tuple(one.bounds(device) for one in self.concepts))


@dataclass(frozen=True)
class Bounds:
    """Bounds from which a prompt opens an encoder for one concept, on a device."""

    directions: Tensor
    """P: (R,D) float32."""
    theta: float
    length: float | None

    def shares(self, change: Tensor) -> Tensor:
        """Return the larger of m ÷ θ and max_t ‖δ_t‖² ÷ ℓ of each prompt: (B,L,D) → (B,)."""
        along = movements(change, self.directions) / self.theta
        if self.length is None:
            return along
        return along.maximum(change.square().sum(2).amax(1) / self.length)


class Detector:
    """A trigger on a device, with the bounds of each of its concepts."""

    def __init__(self, concepts: tuple[Bounds, ...]) -> None:
        self._concepts = concepts

    def movement(self, base: Tensor, moved: Tensor) -> float:
        """Return the largest share of a bound among the concepts; from 1 on, p means one.

        It is m(p) ÷ θ or max_t ‖δ_t(p)‖² ÷ ℓ, in float32.

        What is no number counts as infinite: a fault must not give the base's embedding.

        Args:
            base: τ₀(p), (1,L,D), at the positions that the denoiser reads.
            moved: τᵢ(p), (1,L,D).
        """
        change = moved.float() - base.float()
        shares = [float(one.shares(change)[0]) for one in self._concepts]
        return max(share if share == share else float("inf") for share in shares)


def movements(change: Tensor, directions: Tensor) -> Tensor:
    """Return m = max_t ‖P δ_t‖² of each prompt: (B,L,D), (R,D) → (B,)."""
    return (change @ directions.T).square().sum(2).amax(1)
