"""Optimiser of encoders: a few steps of Adam on overrides of the text encoder.

Every method runs here, with a loss of its own (`MethodSpec.make_loss`): sample, loss, gradient
step (Liu & Tan, arXiv 2407.14209; Fuchi & Takagi, arXiv 2405.07288). The backbone is never written
to: a few tensors are trained, laid over the base (or over the parent's overrides) for the length of
each encoding.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Encoder, EncoderInvalid, low_rank
from unlearn.errors import LayersInvalid
from unlearn.layers import select
from unlearn.task import UnlearnProgress, UnlearnTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from video.models.backbone import Backbone


def unlearn(task: UnlearnTask, backbone: Backbone) -> Unlearning:
    """Prepare a run that makes an encoder without `task.concepts`. Iterate it to do the work.

    Args:
        task: What to forget, and how.
        backbone: Its text encoder is the base. It is not changed.

    Returns:
        An iterator with an item of progress after every step; its `encoder` after the last one.

    Raises:
        LayersInvalid: The text encoder has no such parameters, or no matrix among them.
        SettingsInvalid: Rank 0 for a T5.
        NoNativeDenoiser: The method learns from images, and the backbone's denoiser cannot be
            called.
        EncoderInvalid: The task's parent was made for another base.
    """
    return Unlearning(task, backbone)


class Unlearning(Iterator[UnlearnProgress]):
    """A run of the optimiser. The same task on the same machine gives the same encoder."""

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        settings = task.settings.suited(backbone.text_encoder.shapes)
        self.task = task = replace(task, settings=settings)
        self.losses: list[float] = []
        """The loss of every step so far."""
        self._method = settings.method_spec
        self._encoder: Encoder | None = None
        trainable(task, backbone)  # refuse now, not at the first step
        if self._method.learns_from_images:
            for concept in task.concepts:
                backbone.denoiser(concept.kind == "motion")
        self._steps = self._run(backbone)

    def __next__(self) -> UnlearnProgress:
        return next(self._steps)

    def close(self) -> None:
        """End the run early and free its memory. It makes no encoder then."""
        self._steps.close()

    @property
    def encoder(self) -> Encoder:
        """The encoder made. Raises RuntimeError before the last step is done."""
        if self._encoder is None:
            raise RuntimeError("the encoder is not made yet: iterate to the end first")
        return self._encoder

    def _run(self, backbone: Backbone) -> Generator[UnlearnProgress]:
        task, schedule, cooling = self.task, self.task.settings.schedule(), self._method.cooling
        backbone.text_encoder.fetch()
        base, parent = backbone.text_encoder.parameters(), task.parent_overrides
        trained = trainable(task, backbone)
        sample_loss = self._method.make_loss(task, backbone)
        # Fuchi & Takagi's optimiser, from their code: Adam, β = (0.9, 0.98), ε = 1e-6, decay 1e-8.
        adam = torch.optim.Adam(
            trained.values(),
            lr=schedule.learning_rate,
            betas=(0.9, 0.98),
            eps=1e-6,
            weight_decay=1e-8,
        )
        steps = schedule.steps * len(task.concepts)
        started = perf_counter()
        for step in range(1, steps + 1):
            for group in adam.param_groups:
                group["lr"] = schedule.learning_rate * cooled(step, steps, cooling)
            with torch.enable_grad():  # the caller may iterate with gradients off
                loss = sample_loss(low_rank.stack(base, parent, trained))
                adam.zero_grad()
                loss.backward()
            adam.step()
            self.losses.append(loss.item())
            yield UnlearnProgress(step, steps, self.losses[-1], perf_counter() - started)
        self._encoder = _finish(task, backbone, low_rank.stack(base, parent, trained))


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
