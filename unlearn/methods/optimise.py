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
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Encoder, EncoderInvalid, low_rank
from unlearn.errors import CheckpointInvalid, LayersInvalid
from unlearn.layers import select
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
    """A run of the optimiser. The same task on the same machine gives the same encoder."""

    def __init__(
        self, task: UnlearnTask, backbone: Backbone, checkpoint: bytes | None = None
    ) -> None:
        settings = task.settings.suited(backbone.text_encoder.shapes)
        self.task = task = replace(task, settings=settings)
        self.losses: list[float] = []
        """The loss of every step so far."""
        self._method = settings.method_spec
        self._encoder: Encoder | None = None
        self._state: _State | None = None
        self._run_hash = run_hash(task, backbone)
        self._total = settings.schedule().steps * len(task.concepts)
        trainable(task, backbone)  # refuse now, not at the first step
        if self._method.learns_from_images:
            for concept in task.concepts:
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

    def checkpoint(self) -> bytes | None:
        """Return the state between two steps, from which `unlearn` can go on.

        None before the first step, after the last, and for a method whose loss cannot be saved
        (`unlearn.methods.run_state.Resumable`).
        """
        if self._state is None or not isinstance(self._state.loss, Resumable):
            return None
        if len(self.losses) == self._total:
            return None
        tensors = {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            **prefixed("trained", self._state.trained),
            **prefixed("adam", adam_state(self._state.adam)),
            **prefixed("loss", self._state.loss.state()),
        }
        return to_bytes(self._run_hash, tensors, len(self.losses), self._total)

    def _run(self, backbone: Backbone, checkpoint: bytes | None) -> Generator[UnlearnProgress]:
        task, schedule, cooling = self.task, self.task.settings.schedule(), self._method.cooling
        backbone.text_encoder.fetch()
        base, parent = backbone.text_encoder.parameters(), task.parent_overrides
        state = self._start(backbone, checkpoint)
        trained, adam = state.trained, state.adam
        started = perf_counter()
        for step in range(len(self.losses) + 1, self._total + 1):
            for group in adam.param_groups:
                group["lr"] = schedule.learning_rate * cooled(step, self._total, cooling)
            with torch.enable_grad():  # the caller may iterate with gradients off
                loss = state.loss(low_rank.stack(base, parent, trained))
                adam.zero_grad()
                loss.backward()
            adam.step()
            self.losses.append(loss.item())
            self._state = state
            yield UnlearnProgress(step, self._total, self.losses[-1], perf_counter() - started)
        self._state = None
        self._encoder = _finish(task, backbone, low_rank.stack(base, parent, trained))

    def _start(self, backbone: Backbone, checkpoint: bytes | None) -> _State:
        """Return the state to begin with: the checkpoint's, or else a new one."""
        state = _State.new(self.task, backbone)
        if checkpoint is None:
            return state
        try:
            losses = state.restore(from_bytes(checkpoint, self._run_hash))
            if not 0 < len(losses) < self._total:
                raise CheckpointInvalid(f"It has {len(losses)} losses.")
        except Exception as error:  # a state that fits in part has been taken over in part
            _logger.warning("A checkpoint is not used, and the run begins anew: %s", error)
            return _State.new(self.task, backbone)
        self.losses[:] = losses
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


def trainable(task: UnlearnTask, backbone: Backbone) -> dict[str, Tensor]:
    """Return the tensors to train, at their start.

    They are factors of the chosen matrices, with a product of zero, or for rank 0 copies of the
    chosen parameters, in float32.

    Raises:
        LayersInvalid: No parameter matches, or for factors no matrix.
        EncoderInvalid: The parent was made for another base.
    """
    text_encoder = backbone.text_encoder
    if task.parent is not None and task.parent.card.base != text_encoder.fingerprint:
        raise EncoderInvalid(
            f"Encoder {task.parent.card.id!r} was made for another text encoder: its base is "
            f"{task.parent.card.base}, the one here is {text_encoder.fingerprint}.",
            param="parent",
        )
    base = text_encoder.parameters()
    chosen = select(base, task.settings.layers)
    rank = task.settings.schedule().rank
    if rank == 0:
        now = {**base, **low_rank.apply(base, task.parent_overrides)}
        return {name: now[name].detach().float().clone().requires_grad_() for name in chosen}
    rank *= len(task.concepts)  # room for each concept
    generator = torch.Generator("cpu").manual_seed(task.settings.seed)
    factors: dict[str, Tensor] = {}
    for name in chosen:
        if base[name].ndim != 2:
            continue
        rows, columns = base[name].shape
        width = min(rank, rows, columns)
        a = torch.randn(width, columns, generator=generator) / math.sqrt(columns)
        factors[name + low_rank.A] = a.to(text_encoder.device).requires_grad_()
        factors[name + low_rank.B] = torch.zeros(
            rows, width, device=text_encoder.device, requires_grad=True
        )
    if not factors:
        raise LayersInvalid(
            f"Factors are made of matrices, and {task.settings.layers!r} names none: take other "
            "layers, or rank 0 for whole parameters.",
            param="layers",
        )
    return factors


def cooled(step: int, steps: int, cooling: float) -> float:
    """Return the share of the learning rate at a step, 1 to `steps`.

    It is 1, and over the last `cooling` of the steps falls to zero as half a cosine: the encoder is
    the last step's weights, not an average.
    """
    left = (steps - step + 1) / max(1.0, cooling * steps)
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))


def _finish(task: UnlearnTask, backbone: Backbone, overrides: Mapping[str, Tensor]) -> Encoder:
    """Return the trained overrides as an encoder, in the form in which they are stored and served.

    Raises:
        EncoderInvalid: They are not finite (ascent has gone too far), or nothing has changed.
    """
    settings = task.settings.resolved()
    return Encoder.of(
        backbone.text_encoder,
        overrides,
        id=task.encoder_id,
        concepts=task.all_concepts,
        method=settings.method,
        settings={**settings.to_json(), "images": [len(images) for images in task.images]},
        seed=settings.seed,
        parent=task.parent.card.id if task.parent else None,
    )
