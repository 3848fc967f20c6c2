"""Audit probes: what a published encoder is asked after its judging, without end.

They differ from the judging's (`unlearn.trial.probes`) in their seeds and, as far as the model's
prompt book has others, in their wordings: neither the optimiser nor the judging used them. Each is
drawn at random, so that all probes of a group have the same chance of a miss, whatever came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from encoders import Concept, EncoderRef
from unlearn.prompts import (
    HELD_OUT_TEMPLATES,
    book_sentences,
    captions,
    names_of,
    trained_prompts,
)
from unlearn.trial.probe_prompts import NamedPrompt, other_prompts, target_prompts
from unlearn.trial.probes import Probe, probe_of

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.capabilities import Capabilities
    from video.models.prompt_book import PromptBook

CLIPS = 1 / 8
"""Share of the probes that are clips; the others are stills. Those of motions are all clips."""


class AuditPlan:
    """The probes of one encoder: probe i is the same whenever it is asked for.

    Args:
        concepts: all concepts that the encoder is to have forgotten.
        encoder: the encoder; its identity decides the draws.
        judge: asked only for its labels.
        book: the model's captions.
        capabilities: the model's.
        judged: the number of probes of each group that the judging may have made.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        *,
        encoder: EncoderRef,
        judge: Judge,
        book: PromptBook,
        capabilities: Capabilities,
        judged: int,
    ) -> None:
        self._encoder = encoder
        self._capabilities = capabilities
        self._kinds = {concept.kind for concept in concepts}
        self._targets = [new_wordings(concept, book, judged) for concept in concepts]
        # The judging takes them from the two lists in turn.
        others = [
            pool[(judged + 1) // 2 :] or pool
            for pool in other_prompts(concepts, judge, book)
            if pool
        ]
        self._others = others
        self.round = len(concepts) + bool(others)
        """Number of probes after which every group has had one more."""

    def probe(self, number: int) -> Probe:
        """Return a probe, counted from 0: one of each concept in turn, then one of another."""
        draw = Random(f"{self._encoder.identity} {number}")
        group = number % self.round
        is_target = group < len(self._targets)
        named = draw.choice(self._targets[group] if is_target else draw.choice(self._others))
        return probe_of(
            named,
            encoder=self._encoder,
            capabilities=self._capabilities,
            kinds=None if is_target else self._kinds,
            seed=2**61 + draw.getrandbits(61),  # the judging's lie above 2^62
            is_clip=named[2] == "motion" or draw.random() < CLIPS,
            round=number // self.round,
        )


def new_wordings(concept: Concept, book: PromptBook, judged: int) -> list[NamedPrompt]:
    """List prompts that name the concept, and that neither the optimiser nor the judging used.

    They are the judging's that come after its first `judged`; and, with each of the concept's
    names, the held-out sentences and the held-out captions of other concepts of its kind. If there
    are none, all of the judging's are listed: then only the seeds are new.
    """
    names = names_of(concept, book)
    sentences = [
        *book_sentences(book, concept.kind, names, held_out=True),
        *HELD_OUT_TEMPLATES[concept.kind],
    ]
    of_judging = target_prompts(concept, book)
    used = trained_prompts(concept, book) | {prompt for prompt, *_ in of_judging[:judged]}
    named = captions(concept.name, concept.kind, names[1:], book=book, sentences=sentences)
    found = {caption.prompt for caption in named} | {prompt for prompt, *_ in of_judging}
    new = sorted(found - used)
    return [(prompt, concept.name, concept.kind) for prompt in new] or of_judging
