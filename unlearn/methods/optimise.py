"""The optimisation: a few steps of Adam on overrides of the text encoder, one step an item.

Nothing of the backbone is written to: what is trained are a few tensors, laid over the base (or
over the overrides of the encoder that is gone on from) for the length of each encoding.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Card, Encoder, EncoderInvalid, low_rank
from encoders.digest import digest, fingerprint
from unlearn.layers import LayersInvalid, select
from unlearn.methods.ascent import Ascent
from unlearn.methods.redirect import Redirect
from unlearn.task import UnlearnProgress, UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone

COOLING = 0.4
"""Share of the steps over which a redirection's learning rate falls to zero: the encoder is what
stands at the end, not an average."""


def unlearn(task: UnlearnTask, backbone: Backbone) -> Unlearning:
    """Begins to make an encoder that forgets `task.concepts`. Nothing happens until it is iterated.

    Args:
        task: what to forget, and how.
        backbone: its text encoder is the base. None of it is changed.

    Returns:
        An iterator of progress, an item after every step; its `encoder` once it is through.

    Raises:
        LayersInvalid: the text encoder has no such parameters, or no matrix among them.
        SettingsInvalid: it is a T5, and is to be trained whole.
        NoNativeDenoiser: the method learns from a denoiser, and the backbone's cannot be called.
        EncoderInvalid: the task's parent was made for another base.
    """
    return Unlearning(task, backbone)


class Unlearning(Iterator[UnlearnProgress]):
    """A run of the optimiser. The same task on the same machine gives the same encoder."""

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        settings = task.settings.suited(backbone.text_encoder.shapes)
        self.task = task = replace(task, settings=settings)
        self.losses: list[float] = []
        """The objective at every step so far."""
        self._encoder: Encoder | None = None
        trainable(task, backbone)  # refused now, not at step one
        if settings.method == "ascent":
            for concept in task.concepts:
                backbone.denoiser(concept.kind == "motion")
        self._steps = self._run(backbone)

    def __next__(self) -> UnlearnProgress:
        return next(self._steps)

    def close(self) -> None:
        """Ends the run early and frees what it holds. There is no encoder then."""
        self._steps.close()

    @property
    def encoder(self) -> Encoder:
        """The encoder made. Raises RuntimeError before the iterator is through."""
        if self._encoder is None:
            raise RuntimeError("the encoder is not made yet: iterate to the end first")
        return self._encoder

    def _run(self, backbone: Backbone) -> Generator[UnlearnProgress]:
        task, schedule = self.task, self.task.settings.schedule()
        redirects = task.settings.method == "redirect"
        backbone.text_encoder.fetch()
        base, parent = backbone.text_encoder.parameters(), parent_overrides(task)
        trained = trainable(task, backbone)
        loss_of = (Redirect if redirects else Ascent)(task, backbone)
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
            if redirects:
                for group in adam.param_groups:
                    group["lr"] = schedule.learning_rate * cooled(step, steps)
            with torch.enable_grad():  # whoever iterates may have gradients off
                loss = loss_of(low_rank.stack(base, parent, trained))
                adam.zero_grad()
                loss.backward()
            adam.step()
            self.losses.append(loss.item())
            seconds = perf_counter() - started
            yield UnlearnProgress(step, steps, self.losses[-1], seconds)
        self._encoder = _finish(task, backbone, low_rank.stack(base, parent, trained))


def trainable(task: UnlearnTask, backbone: Backbone) -> dict[str, Tensor]:
    """What is trained, at its beginning: factors of the chosen matrices, whose product is zero, or
    for rank 0 whole copies of the chosen parameters.

    Raises:
        LayersInvalid: no parameter matches, or for factors no matrix.
        EncoderInvalid: the parent was made for another base.
    """
    text_encoder = backbone.text_encoder
    if task.parent is not None and task.parent.card.base != text_encoder.fingerprint:
        raise EncoderInvalid(
            f"Encoder {task.parent.card.id!r} was made for another text encoder: its base is "
            f"{task.parent.card.base}, the one here is {text_encoder.fingerprint}.",
            param="parent",
        )
    base, earlier = text_encoder.parameters(), parent_overrides(task)
    chosen = select(base, task.settings.layers)
    rank = task.settings.schedule().rank
    if rank == 0:
        now = {**base, **low_rank.apply(base, earlier)}
        return {name: now[name].detach().float().clone().requires_grad_() for name in chosen}
    rank *= len(task.concepts)  # each concept has room of its own
    generator = torch.Generator("cpu").manual_seed(task.settings.seed)
    found: dict[str, Tensor] = {}
    for name in chosen:
        if base[name].ndim != 2:
            continue
        rows, columns = base[name].shape
        width = min(rank, rows, columns)
        a = torch.randn(width, columns, generator=generator) / math.sqrt(columns)
        found[name + low_rank.A] = a.to(text_encoder.device).requires_grad_()
        found[name + low_rank.B] = torch.zeros(
            rows, width, device=text_encoder.device, requires_grad=True
        )
    if not found:
        raise LayersInvalid(
            f"Factors are made of matrices, and {task.settings.layers!r} names none: take other "
            "layers, or rank 0 for whole parameters.",
            param="layers",
        )
    return found


def parent_overrides(task: UnlearnTask) -> dict[str, Tensor]:
    """What the encoder that is gone on from changes; nothing if there is none."""
    return dict(task.parent.overrides) if task.parent else {}


def cooled(step: int, steps: int) -> float:
    """Share of the learning rate at a step, 1 to `steps`: constant, then half a cosine to zero."""
    left = (steps - step + 1) / max(1.0, COOLING * steps)
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))


def _finish(task: UnlearnTask, backbone: Backbone, overrides: dict[str, Tensor]) -> Encoder:
    """The trained overrides as an encoder, in the form in which they are stored and served.

    Raises:
        EncoderInvalid: they are not finite (ascent has gone too far), or nothing has changed.
    """
    base = backbone.text_encoder
    effective = base.effective(overrides)
    settings = task.settings.resolved()
    card = Card(
        id=task.encoder_id,
        concepts=task.all_concepts,
        method=settings.method,
        settings={**settings.to_json(), "images": [len(images) for images in task.images]},
        seed=settings.seed,
        base=base.fingerprint,
        digest=digest(base.parameters(), effective),
        stored=fingerprint(effective),
        parent=task.parent.card.id if task.parent else None,
        created_at=datetime.now(UTC),
    )
    return Encoder(card, effective)
