"""Identity: the share of other prompts that an encoder leaves to the base, to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from encoders import Concept
from encoders.card import MARGINS
from unlearn.prompts import held_out_captions, names_of, trained_prompts
from unlearn.trial.measures import rate_measures

if TYPE_CHECKING:
    from encoders.composition import Member
    from video.models.backbone import Backbone

IDENTITY, IN_SETS = "identity", "identity_in_sets"
"""Names of the rate: of an encoder as it is used, and as a member of a set."""
MAX_CAPTIONS = 200
"""Captions of other things, and of the concepts, that are encoded at most."""


def identity_steps(
    members: Sequence[Member], concepts: Sequence[Concept], backbone: Backbone, *, name: str
) -> Iterator[dict[str, Any]]:
    """Encode captions one by one, and yield the measures so far; the last ones are the result.

    `<name>_rate` is the share of held-out captions of other things whose embedding is the base's
    to the bit, with its interval and n. `margins` are the largest movement among these captions and
    the least among the captions that name a concept, as multiples of the threshold
    (`encoders.trigger`). None of the captions of other things was used in training.

    Args:
        members: The encoder, or the members of a composite, on the device.
        concepts: All that they forget.
        backbone: Its text encoder is the base.
        name: `IDENTITY`, or `IN_SETS` for an encoder that is used for every prompt when it is
            alone.
    """
    book = backbone.prompts
    names = [name for concept in concepts for name in names_of(concept, book)]
    own = sorted(p for concept in concepts for p in trained_prompts(concept, book))
    base, encoder = backbone.prompt_encoder(), backbone.prompt_encoder(members)
    same: list[bool] = []
    elsewhere, least = 0.0, float("inf")
    for caption in held_out_captions(book, names)[:MAX_CAPTIONS]:
        same.append(torch.equal(encoder.encode(caption), base.encode(caption)))
        elsewhere = max(elsewhere, _largest(encoder.decisions[-1]))
        yield rate_measures(name, same)
    step = max(1, len(own) // MAX_CAPTIONS)
    for prompt in own[::step]:
        encoder.encode(prompt)
        least = min(least, _largest(encoder.decisions[-1]))
        yield rate_measures(name, same) | {
            MARGINS: {"others_most": elsewhere, "own_least": least, "own_n": len(own[::step])}
        }


def _largest(decisions: Sequence[Any]) -> float:
    return max((one.movement for one in decisions if one.movement is not None), default=0.0)
