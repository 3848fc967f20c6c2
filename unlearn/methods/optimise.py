"""Optimiser of encoders: a few steps of Adam on overrides of the text encoder.

Every method runs here, with a loss of its own (`MethodSpec.make_loss`): sample, loss, gradient
step (Liu & Tan, arXiv 2407.14209; Fuchi & Takagi, arXiv 2405.07288). The backbone is never written
to: a few tensors are trained, laid over the base (or over the parent's overrides) for the length of
each encoding.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from encoders import Encoder, low_rank
from encoders.trigger import Trigger
from unlearn.errors import CheckpointInvalid
from unlearn.methods.calibration import calibrate
from unlearn.methods.run_state import (
    Resumable,
    adam_state,
    from_bytes,
    part,
    prefixed,
    restore_adam,
    run_hash,
    to_bytes,
)
from unlearn.methods.trainable import trainable
from unlearn.task import UnlearnProgress, UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone

_logger = logging.getLogger(__name__)


def unlearn(task: UnlearnTask, backbone: Backbone, checkpoint: bytes | None = None) -> Unlearning:
    """Prepare a run that makes an encoder without `task.concepts`. Iterate it to do the work.

    Args:
        task: What to forget, and how.
        backbone: Its text encoder is the base. It is not changed.
        checkpoint: `Unlearning.checkpoint` of an earlier run of the same task, to go on from. One
            that does not fit is logged and ignored.

    Returns:
        An iterator with an item of progress after every step; its `encoder` after the last one.

    Raises:
        LayersInvalid: The text encoder has no such parameters, or no matrix among them.
        SettingsInvalid: Rank 0 for a T5.
        NoNativeDenoiser: The method learns from images, and the backbone's denoiser cannot be
            called.
        EncoderInvalid: The task's parent was made for another base.
    """
    return Unlearning(task, backbone, checkpoint)


class Unlearning(Iterator[UnlearnProgress]):
    """A run of the optimiser.

    The same task on the same machine gives the same encoder, unless it has a budget of seconds.
    """

    def __init__(
        self, task: UnlearnTask, backbone: Backbone, checkpoint: bytes | None = None
    ) -> None:
        settings = task.settings.suited(backbone.text_encoder.shapes)
        self.task = task = replace(task, settings=settings)
        self.losses: list[float] = []
        """The loss of every step so far."""
        self._seconds = 0.0
        """Seconds of work on them."""
        self._method = settings.method_spec
        self._encoder: Encoder | None = None
        self._state: _State | None = None
        self._run_hash = run_hash(task, backbone)
        self._total = settings.schedule().steps * len(task.concepts)
        self._base = backbone.text_encoder.parameters()
        trainable(task, backbone)  # refuse now, not at the first step
        for concept, images in zip(task.concepts, task.images, strict=False):
            if len(images):
                backbone.denoiser(concept.kind == "motion")
        self._steps = self._run(backbone, checkpoint)

    def __next__(self) -> UnlearnProgress:
        return next(self._steps)

    def close(self) -> None:
        """End the run early and free its memory. It makes no encoder then."""
        self._steps.close()
        self._state = None

    @property
    def encoder(self) -> Encoder:
        """The encoder made. Raises RuntimeError before the last step is done."""
        if self._encoder is None:
            raise RuntimeError("the encoder is not made yet: iterate to the end first")
        return self._encoder

    @torch.no_grad()
    def overrides(self) -> dict[str, Tensor] | None:
        """Return the encoder's overrides as they are between two steps, for a look at it.

        None before the first step and after the last.
        """
        if self._state is None:
            return None
        stacked = low_rank.stack(self._base, self.task.parent_overrides, self._state.trained)
        return {name: tensor.detach().clone() for name, tensor in stacked.items()}

    def checkpoint(self) -> bytes | None:
        """Return the state between two steps, from which `unlearn` can go on.

        None before the first step, after the last, and for a method whose loss cannot be saved
        (`unlearn.methods.run_state.Resumable`).
        """
        if self._state is None or not isinstance(self._state.loss, Resumable):
            return None
        share = self._share_done()
        if share == 1:
            return None
        tensors = {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "seconds": torch.tensor(self._seconds, dtype=torch.float64),
            **prefixed("trained", self._state.trained),
            **prefixed("adam", adam_state(self._state.adam)),
            **prefixed("loss", self._state.loss.state()),
        }
        return to_bytes(self._run_hash, tensors, share)

    def _run(self, backbone: Backbone, checkpoint: bytes | None) -> Generator[UnlearnProgress]:
        task, schedule, cooling = self.task, self.task.settings.schedule(), self._method.cooling
        backbone.text_encoder.fetch()
        base, parent = backbone.text_encoder.parameters(), task.parent_overrides
        state = self._start(backbone, checkpoint)
        trained, adam = state.trained, state.adam
        while (share := self._share_done()) < 1:
            began = perf_counter()
            for group in adam.param_groups:
                group["lr"] = schedule.learning_rate * cooled(share, self._total, cooling)
            with torch.enable_grad():  # the caller may iterate with gradients off
                loss = state.loss(low_rank.stack(base, parent, trained))
                adam.zero_grad()
                loss.backward()
            adam.step()
            self.losses.append(loss.item())
            self._seconds += perf_counter() - began
            self._state = state
            yield UnlearnProgress(
                step=len(self.losses),
                steps=self._total,
                loss=self.losses[-1],
                seconds=self._seconds,
                share=self._share_done(),
            )
        self._state = None
        stored = backbone.text_encoder.effective(low_rank.stack(base, parent, trained))
        trigger = calibrate(task, backbone, stored) if self._method.has_trigger else None
        self._encoder = _finish(task, backbone, stored, trigger, steps=len(self.losses))

    def _share_done(self) -> float:
        """Return the share of the steps that is done, or of the budget if that is more."""
        budget = self.task.settings.max_seconds
        used = self._seconds / budget if budget else 0.0
        return min(1.0, max(len(self.losses) / self._total, used))

    def _start(self, backbone: Backbone, checkpoint: bytes | None) -> _State:
        """Return the state to begin with: the checkpoint's, or else a new one."""
        state = _State.new(self.task, backbone)
        if checkpoint is None:
            return state
        try:
            saved = from_bytes(checkpoint, self._run_hash)
            losses, seconds = state.restore(saved), float(saved["seconds"])
            if not 0 < len(losses) < self._total or not 0 <= seconds < float("inf"):
                raise CheckpointInvalid(f"It has {len(losses)} losses after {seconds} s.")
        except Exception as error:  # a state that fits in part has been taken over in part
            _logger.warning("A checkpoint is not used, and the run begins anew: %s", error)
            return _State.new(self.task, backbone)
        self.losses[:], self._seconds = losses, seconds
        return state


@dataclass
class _State:
    """Everything that a step changes."""

    trained: dict[str, Tensor]
    loss: Callable[[Mapping[str, Tensor]], Tensor]
    adam: torch.optim.Adam

    @classmethod
    def new(cls, task: UnlearnTask, backbone: Backbone) -> _State:
        """Return the state before the first step."""
        trained = trainable(task, backbone)
        loss = task.settings.method_spec.make_loss(task, backbone)
        # Fuchi & Takagi's optimiser, from their code: Adam, β = (0.9, 0.98), ε = 1e-6, decay 1e-8.
        adam = torch.optim.Adam(
            trained.values(),
            lr=task.settings.schedule().learning_rate,
            betas=(0.9, 0.98),
            eps=1e-6,
            weight_decay=1e-8,
        )
        return cls(trained, loss, adam)

    @torch.no_grad()
    def restore(self, saved: Mapping[str, Tensor]) -> list[float]:
        """Take over a checkpoint's tensors, and return the losses so far.

        Raises:
            CheckpointInvalid: The tensors are not those of this run.
            Exception: The method's loss cannot take its state over.
        """
        trained = part("trained", saved)
        shapes = {name: tensor.shape for name, tensor in self.trained.items()}
        if not isinstance(self.loss, Resumable) or "losses" not in saved:
            raise CheckpointInvalid("It lacks a part, or the method cannot go on from one.")
        if {name: tensor.shape for name, tensor in trained.items()} != shapes:
            raise CheckpointInvalid("It has other trained tensors.")
        for name, tensor in trained.items():
            self.trained[name].copy_(tensor)
        restore_adam(self.adam, part("adam", saved))
        self.loss.restore(part("loss", saved))
        return saved["losses"].tolist()


def cooled(share: float, steps: int, cooling: float) -> float:
    """Return the share of the learning rate at a step.

    It is 1, and over the last `cooling` of the run falls to zero as half a cosine: the encoder is
    the last step's weights, not an average.

    Args:
        share: Share of the run that is done before the step, below 1.
        steps: Steps of the run, if it has time for all of them.
        cooling: Share of the run, 0 to 1; at least a step's is taken.
    """
    left = steps * (1 - share) / max(1.0, cooling * steps)
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))


def _finish(
    task: UnlearnTask,
    backbone: Backbone,
    stored: Mapping[str, Tensor],
    trigger: Trigger | None,
    *,
    steps: int,
) -> Encoder:
    """Return the trained overrides as an encoder, in the form in which they are stored and served.

    Raises:
        EncoderInvalid: They are not finite (ascent has gone too far), or nothing has changed.
    """
    settings = task.settings.resolved()
    noted: dict[str, Any] = {"images": [len(images) for images in task.images]}
    if settings.max_seconds is not None:
        noted["steps_done"] = steps
    return Encoder.of(
        backbone.text_encoder,
        stored,
        id=task.encoder_id,
        concepts=task.all_concepts,
        method=settings.method,
        settings={**settings.to_json(), **noted},
        seed=settings.seed,
        parent=task.parent.card.id if task.parent else None,
        trigger=trigger,
    )
