"""Neighbours: the other concepts that lie nearest to the forgotten ones, for probes of their own.

What an encoder damages first is what means nearly the same to the text encoder. A mean over all
other concepts hardly shows that. So the nearest ones are asked for one by one, and the gate looks
at the worst.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch

from encoders import Concept, Kind
from unlearn.prompts import held_out_prompts, names_of
from unlearn.trial.probes import NEAREST

if TYPE_CHECKING:
    from torch import Tensor

    from unlearn.judges.base import Judge
    from video.models.backbone import Backbone

_SENTENCES = 3
"""Sentences that a concept is embedded in. They are the same for every concept of a kind, so that
two embeddings differ by the concept alone."""

Label = tuple[str, Kind]


def neighbour_steps(
    concepts: Sequence[Concept], judge: Judge, backbone: Backbone
) -> Iterator[list[Label]]:
    """Embed the judge's labels one by one, and yield the neighbours so far; the last ones count.

    The distance of two concepts is that of the base's embeddings of them, each the mean (D,) over
    all positions of the same sentences. Labels that mention a name of a forgotten concept are left
    out, and so are motions among the neighbours of anything else: they need clips. A neighbour of
    several concepts is listed once.

    Yields:
        The neighbours by name and kind, the nearest first, of the first concept and so on.
    """
    book, encoder = backbone.prompts, backbone.prompt_encoder()

    @cache
    def meaning(name: str, kind: Kind) -> Tensor:
        prompts = held_out_prompts(name, kind, book=book)[:_SENTENCES]
        return torch.cat([encoder.encode(one).float().mean(1) for one in prompts]).mean(0)

    forgotten = {(concept.name, concept.kind) for concept in concepts}
    names = {name for concept in concepts for name in names_of(concept, book)}
    found: list[Label] = []
    for concept in concepts:
        own = meaning(concept.name, concept.kind)
        apart: dict[Label, float] = {}
        for kind, labels in judge.labels.items():
            for label in labels:
                if (label, kind) in forgotten or label in names:
                    continue
                if kind == "motion" and concept.kind != "motion":
                    continue
                apart[label, kind] = float((meaning(label, kind) - own).norm())
                yield found
        nearest = sorted(apart, key=lambda one: (apart[one], one))[:NEAREST]
        found = list(dict.fromkeys([*found, *nearest]))
        yield found
