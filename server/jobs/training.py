"""Training as it is watched: the losses so far, and a still that the encoder draws as it is.

The still is made between the steps of the optimisation, in the same turns of the engine: so it has
their low priority, and a place in memory at the same time as they have. It changes nothing in them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any

from server.jobs.workspace import Workspace
from server.outage import brief, is_outage

if TYPE_CHECKING:
    from encoders import Concept
    from unlearn.methods.optimise import Unlearning
    from unlearn.task import UnlearnProgress
    from video.frames import Frames
    from video.models.backbone import Backbone

log = logging.getLogger(__name__)

PREVIEWS = 16
"""Stills of one run at most, the base's included."""
_MOST_TIME = 0.1
"""Share of the run's time that the stills may take: slow ones are made less often."""
_LOSSES = 64
"""Losses that are told at most, evenly spaced."""
_SEED = 1


class Training:
    """One run of the optimiser, and what is told of it.

    Args:
        run: The run.
        concepts: Those that it is to forget; the first that a still can show is drawn.
        workspace: The job's.
        before: What was told of the run before a restart.
    """

    def __init__(
        self,
        run: Unlearning,
        concepts: tuple[Concept, ...],
        workspace: Workspace,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self._run = run
        self._concepts = concepts
        self._workspace = workspace
        self._steps = 0
        self._previews: list[int] = list((before or {}).get("previews", ()))
        self._drawn = set(self._previews)
        self._spent = 0.0  # seconds, for stills
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="preview")

    def told(self) -> dict[str, Any]:
        """Return what a record tells of the run (`EncoderRecord.training`)."""
        losses = self._run.losses
        every = -(-len(losses) // _LOSSES) or 1
        return {
            "step": len(losses),
            "steps": self._steps or None,
            "losses": [round(loss, 6) for loss in losses[::every]],
            "every": every,
            "previews": list(self._previews),
        }

    def turns(
        self, backbone: Backbone, on_step: Callable[[UnlearnProgress], None]
    ) -> Iterator[UnlearnProgress]:
        """Yield after each turn of the engine: a step of the run, or a step of a still.

        Args:
            backbone: The model.
            on_step: Called after each step of the run.
        """
        prompt = _prompt_of(self._concepts, backbone) if backbone.is_native else None
        began, at = perf_counter(), 0
        try:
            for progress in self._run:
                self._steps = progress.steps
                on_step(progress)
                yield progress
                is_due = progress.step >= at or progress.share == 1
                passed = perf_counter() - began
                if prompt is None or not is_due or self._spent > _MOST_TIME * passed + 1:
                    continue
                at = progress.step + max(1, progress.steps // (PREVIEWS - 2))
                try:
                    for _ in self._draw(prompt, backbone, progress.step):
                        yield progress
                except Exception as error:  # the run itself needs no stills
                    log.warning("no more previews are made: %s", error)
                    prompt = None
        finally:
            self._run.close()

    def close(self) -> None:
        """Wait until the last still is saved."""
        self._pool.shutdown()

    def _draw(self, prompt: str, backbone: Backbone, step: int) -> Iterator[None]:
        """Make a still by the encoder as it is, a denoising step a turn."""
        from encoders.composition import Member
        from video.generation_request import GenerationRequest

        began = perf_counter()
        overrides = self._run.overrides()
        if len(self._previews) >= PREVIEWS or overrides is None:
            return
        # The base's comes first, for the eye to begin from.
        number, members = (step, (Member("preview", overrides),)) if self._drawn else (0, ())
        if number in self._drawn:
            return
        self._drawn.add(number)
        capabilities = backbone.capabilities
        request = GenerationRequest(
            prompt,
            seed=_SEED,
            steps=capabilities.steps_default,
            guidance=capabilities.guidance_default,
            frames=None,
        )
        state = backbone.begin(request, backbone.prompt_encoder(members, is_video=False))
        try:
            while state.steps_done < state.steps:
                backbone.step([state])
                self._spent += perf_counter() - began
                yield
                began = perf_counter()
            frames = state.decode()
        finally:
            state.close()
        self._pool.submit(self._save, number, frames)
        self._spent += perf_counter() - began

    def _save(self, step: int, frames: Frames) -> None:
        from video.clip import thumbnail

        try:
            self._workspace.save_preview(step, thumbnail(frames))
            self._previews.append(step)
        except Exception as error:
            if not (isinstance(error, OSError) or is_outage(error)):
                raise
            log.warning("a preview could not be written: %s", brief(error))


def _prompt_of(concepts: tuple[Concept, ...], backbone: Backbone) -> str | None:
    """Return a prompt for the first concept that a still can show; None if there is none."""
    from unlearn.prompts import captions

    for concept in concepts:
        if concept.kind != "motion":
            book = backbone.prompts
            found = [one for one in book.retain if concept.name in one.split()]
            named = captions(concept.name, concept.kind, concept.synonyms, book=book)
            return min(found, key=len) if found else named[0].prompt
    return None
