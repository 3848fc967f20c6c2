"""Method declarations: what the rest of the house asks of a method of unlearning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """Length and pace of an optimisation."""

    steps: int
    """Steps for each concept."""
    learning_rate: float
    batch_size: int
    rank: int
    """Rank of the trained factors, for each concept; 0: whole parameters are trained."""


@dataclass(frozen=True)
class MethodSpec:
    """Everything that a method of unlearning declares."""

    name: str
    """Value of the setting `method`."""
    description: str
    """One or two sentences for the report on an encoder."""
    learns_from_images: bool
    """True if it needs a few images of each concept and, to learn from them, a native denoiser."""
    defaults: Schedule
    """Schedule of a run whose settings leave it open."""
    make_loss: Callable[..., Callable[[Mapping[str, Tensor]], Tensor]]
    """Factory of the loss, called as the run begins with the `UnlearnTask` and the `Backbone`. The
    loss is called once a step with the encoder's overrides and returns a scalar. (The arguments are
    untyped because a task has settings, which look up methods: their types would be a circle.)
    A loss that is `unlearn.methods.run_state.Resumable` goes on after a restart of the server; the
    run of any other begins anew."""
    takes_images: bool = False
    """True if it needs no images, but learns from those that it is given."""
    has_trigger: bool = False
    """True if its encoders move other prompts so little that a trigger can tell which ones mean the
    concept (`unlearn.methods.calibration`). An encoder without a trigger is always on."""
    cooling: float = 0.0
    """Share of the steps, at the end, over which the learning rate falls to zero."""

    @property
    def can_learn_from_images(self) -> bool:
        """True if a task may have images."""
        return self.learns_from_images or self.takes_images
