"""The optimisation: few-shot unlearning of a text encoder, one step an item.

    latents of the few images, once
    repeat:  a batch of them, noised · prompts that name the concept · the frozen denoiser
             → the objective → one step of Adam on overrides of the text encoder

Nothing of the backbone is written to: what is trained are copies of the chosen parameters, laid
over the base for the length of each encoding.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Card, Encoder
from encoders.digest import digest
from unlearn import objectives
from unlearn.fewshot import Caption, all_names, captions, mentions, retained_captions
from unlearn.layers import select
from unlearn.task import UnlearnProgress, UnlearnTask

if TYPE_CHECKING:
    from video.backbone import Backbone


def unlearn(task: UnlearnTask, backbone: Backbone) -> Unlearning:
    """Begins to make an encoder that forgets `task.concept`. Nothing happens until it is iterated.

    Args:
        task: what to forget, from which images, how.
        backbone: its text encoder is the base; its image twin, or for the kind "motion" its video
            model, is the denoiser. None of it is changed.

    Returns:
        An iterator of progress, an item after every step; its `encoder` once it is through.

    Raises:
        LayersInvalid: the text encoder has no such parameters.
    """
    return Unlearning(task, backbone)


class Unlearning(Iterator[UnlearnProgress]):
    """A run of the optimiser. The same task on the same machine gives the same encoder."""

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        self.task = task
        self.losses: list[float] = []
        """The objective at every step so far."""
        self._encoder: Encoder | None = None
        select(backbone.text_encoder.shapes, task.settings.layers)  # refused now, not at step one
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
        task, settings = self.task, self.task.settings.resolved(self.task.kind)
        schedule = settings.schedule(task.kind)
        objective = _Objective(task, backbone)
        # Fuchi & Takagi's optimiser, from their code: Adam, β = (0.9, 0.98), ε = 1e-6, decay 1e-8.
        adam = torch.optim.Adam(
            objective.overrides.values(),
            lr=schedule.learning_rate,
            betas=(0.9, 0.98),
            eps=1e-6,
            weight_decay=1e-8,
        )
        started = perf_counter()
        for step in range(1, schedule.steps + 1):
            with torch.enable_grad():  # whoever iterates may have gradients off
                loss = objective(schedule.batch_size)
                adam.zero_grad()
                loss.backward()
            adam.step()
            self.losses.append(loss.item())
            seconds = perf_counter() - started
            yield UnlearnProgress(step, schedule.steps, self.losses[-1], seconds)
        self._encoder = _finish(task, backbone, objective.overrides)


class _Objective:
    """Draws a batch and evaluates the method's loss on it; owns what is trained."""

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        settings, book = task.settings, backbone.prompts
        self._backbone = backbone
        self._settings = settings
        self._random = torch.Generator("cpu").manual_seed(settings.seed)
        self._latents = encode(task, backbone)
        names = all_names(task.concept, task.kind, task.synonyms, book)
        self._captions = captions(
            task.concept, task.kind, names[1:], anchor=settings.anchor, book=book
        )
        given = [caption for caption in settings.retain if not mentions(caption, names)]
        self._retain = given or retained_captions(book, names)
        base = backbone.text_encoder.parameters()
        self.overrides: dict[str, Tensor] = {
            name: base[name].detach().float().clone().requires_grad_()
            for name in select(base, settings.layers)
        }

    def __call__(self, batch_size: int) -> Tensor:
        images = self._draw(len(self._latents), batch_size)
        chosen = [self._captions[i] for i in self._draw(len(self._captions), len(images))]
        x = objectives.noised(self._backbone, self._latents[images], self._random)
        if self._settings.method == "ascent":
            return objectives.ascent(self._backbone, x, self._embed([c.prompt for c in chosen]))
        return self._redirect_and_retain(x, chosen)

    def _redirect_and_retain(self, x: objectives.Noised, chosen: list[Caption]) -> Tensor:
        """Redirection of the concept, drift on some captions of other things, and drift on the
        empty prompt, which the unconditional branch of guidance uses in every request."""
        prompts = [caption.prompt for caption in chosen]
        anchors = [caption.anchor for caption in chosen]
        kept = [self._retain[i] for i in self._draw(len(self._retain), self._settings.retain_batch)]
        # One call with gradients and one without, for all the texts of the step.
        sizes = [len(prompts), len(kept), 1]
        concept, others, empty = self._embed([*prompts, *kept, ""]).split(sizes)
        base = self._embed0([*prompts, *kept, "", *anchors])
        concept0, others0, empty0, anchor0 = base.split([*sizes, len(anchors)])
        redirection = objectives.redirect(
            self._backbone, x, concept, concept0, anchor0, self._settings.eta
        )
        drift = objectives.drift(empty, empty0)
        if kept:
            drift = drift + objectives.drift(others, others0)
        return redirection + self._settings.retain_weight * drift

    def _draw(self, population: int, count: int) -> list[int]:
        """`count` different ones at random, or all there are."""
        return torch.randperm(population, generator=self._random)[:count].tolist()

    def _embed(self, prompts: list[str]) -> Tensor:
        """τ_φ: by the encoder that is trained, with gradients."""
        tokens = self._backbone.tokenize(prompts)
        return self._backbone.text_encoder.encode(tokens, self.overrides)

    @torch.no_grad()
    def _embed0(self, prompts: list[str]) -> Tensor:
        """τ₀: by the base."""
        return self._backbone.text_encoder.encode(self._backbone.tokenize(prompts))


def encode(task: UnlearnTask, backbone: Backbone) -> Tensor:
    """x₀ of the task's images: (N,C,h,w), or for clips (N,C,F,h,w)."""
    if task.kind != "motion":
        return backbone.encode_images(task.images)
    clips, frames = task.images.shape[:2]
    flat = task.images.reshape(clips * frames, *task.images.shape[2:])
    return backbone.encode_images(flat).unflatten(0, (clips, frames)).transpose(1, 2)


def _finish(task: UnlearnTask, backbone: Backbone, overrides: dict[str, Tensor]) -> Encoder:
    """The trained overrides as an encoder, in the form in which they are stored and served.

    Raises:
        EncoderInvalid: they are not finite (ascent has gone too far), or nothing has changed.
    """
    base = backbone.text_encoder
    effective = base.effective(overrides)
    settings = task.settings.resolved(task.kind)
    card = Card(
        id=task.encoder_id,
        concept=task.concept,
        kind=task.kind,
        method=settings.method,
        settings={
            **settings.to_json(),
            "images": len(task.images),
            "synonyms": list(task.synonyms),
        },
        seed=settings.seed,
        base=base.fingerprint,
        digest=digest(base.parameters(), effective),
        created_at=datetime.now(UTC),
    )
    return Encoder(card, effective)
