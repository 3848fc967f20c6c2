"""Find the ways to a concept with a model at hand, for programs that have no server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from encoders import Concept
from encoders.way import Way
from unlearn.trial.probes import check_known
from unlearn.ways.candidates import candidate_steps
from unlearn.ways.search import CLIPS, STILLS, WaySearch, count_of_candidates, sights_of

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.frames import Frames
    from video.generation_request import GenerationRequest
    from video.models.backbone import Backbone

_AT_ONCE = 16
"""Stills in a step."""


def find_ways(
    concept: Concept,
    backbone: Backbone,
    judge: Judge,
    *,
    pictures: int | None = None,
    retain: Sequence[str] = (),
) -> tuple[Way, ...]:
    """Find phrases that draw a concept without naming it.

    With the built-in model it takes about half a minute of a core.

    Args:
        concept: The concept, with the synonyms that are known.
        backbone: The model; its base text encoder is used.
        judge: It has to know the concept.
        pictures: The most pictures; None: `STILLS`, for a motion `CLIPS`.
        retain: Captions to retain beside the book's, as in the settings of the run.

    Returns:
        The ways, the surest first. Those that can be forgotten without a cost are marked.

    Raises:
        NothingToJudge: The judge does not know the concept.
    """
    check_known([concept], judge)
    most = pictures or usual_pictures(concept)
    *_, candidates = candidate_steps(concept, backbone, count_of_candidates(most))
    search = WaySearch(
        concept,
        candidates,
        book=backbone.prompts,
        capabilities=backbone.capabilities,
        pictures=most,
        retain=retain,
    )
    while looks := search.next_round():
        clips = list(draw(backbone, [look.request for look in looks]))
        search.tell(
            looks,
            sights_of(looks, clips, concept, judge, with_others=not search.is_first_round),
        )
    return tuple(search.ways())


def usual_pictures(concept: Concept) -> int:
    """Return the usual number of pictures of a search: few of a motion, which takes clips."""
    return CLIPS if concept.kind == "motion" else STILLS


@torch.no_grad()
def draw(backbone: Backbone, requests: Sequence[GenerationRequest]) -> Iterator[Frames]:
    """Yield the frames of each request by the base, (F,H,W,3), in their order.

    The requests have the same number of steps and frames.
    """
    is_video = bool(requests) and requests[0].frames is not None
    at_once = _AT_ONCE if backbone.is_native and not is_video else 1
    encoder = backbone.prompt_encoder(is_video=is_video)
    for start in range(0, len(requests), at_once):
        batch = [backbone.begin(one, encoder) for one in requests[start : start + at_once]]
        try:
            while batch[0].steps_done < batch[0].steps:
                backbone.step(batch)
            yield from (state.decode() for state in batch)
        finally:
            for state in batch:
                state.close()
