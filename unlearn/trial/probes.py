"""Did it forget, and what else went with it: the paired requests that an encoder is judged on.

Every probe is asked of the base and of the new encoder, with the same seed, so that a pair differs
in the encoder alone. Target probes name a concept in prompts the optimiser never used; retain
probes name other concepts. A concept is *there to be forgotten* if any frame of a clip shows it,
and *kept* if most frames show it: each rule is the stricter one.

Probes come in rounds, so that one can stop after any of them (:mod:`unlearn.trial.trial`). What a
probe
asks follows from the concepts and the model alone, never from the encoder or its settings: the
base's half of it is the same for every encoder, and need not be made twice.

Whoever runs the plan makes the clips (the engine, at low priority) and hands them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from encoders import Concept, Kind, PalimpsestError
from unlearn.prompts import (
    all_names,
    captions_naming,
    held_out_prompts,
    mentions,
    names_of,
    trained_prompts,
)
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.capabilities import Capabilities
    from video.models.prompt_book import PromptBook

Named = tuple[str, str, Kind]
"""A prompt, and the concept it names."""

ROUND = 4
"""Probes of each concept, and of what is to be kept, in a round. Three rounds without a miss are
enough for a limit of 10 % (:data:`unlearn.trial.sequential.ODDS`)."""


class NothingToJudge(PalimpsestError):
    """Neither the judge nor the model's captions know the concept, so nothing can be measured."""

    code = "nothing_to_judge"


@dataclass(frozen=True)
class Probe:
    """One prompt and seed, asked of both encoders, and the concept that is looked for."""

    concept: str
    kind: Kind
    is_target: bool
    same_kind: bool
    """Whether the concept looked for is of the kind of one forgotten (IRA) or not (CRA)."""
    round: int
    """In which round it is asked, from 0."""
    base: GenerationRequest
    encoder: GenerationRequest

    @property
    def group(self) -> tuple[str, Kind] | None:
        """The concept to be forgotten whose probe it is; None: it is of what is to be kept."""
        return (self.concept, self.kind) if self.is_target else None


@dataclass(frozen=True)
class ProbePlan:
    """The probes of one encoder, round by round and in a round the groups in turn."""

    probes: tuple[Probe, ...]

    def requests(self) -> list[GenerationRequest]:
        """All requests: the base's and the encoder's of each probe in turn."""
        return [request for probe in self.probes for request in (probe.base, probe.encoder)]


def judging_plan(
    concepts: Sequence[Concept],
    *,
    encoder: tuple[str, str],
    judge: Judge,
    book: PromptBook,
    capabilities: Capabilities,
    most: int = 32,
    videos: int = 2,
) -> ProbePlan:
    """Probes for one encoder.

    Args:
        concepts: all that the encoder is to have forgotten.
        encoder: (id, digest) of the encoder to be judged.
        judge: only for what it knows (`knows`, and `labels` for the retain probes).
        book: the model's captions: those that name the concept are the target prompts, and the
            retain prompts are of those it holds out. The optimiser uses neither.
        limits: for the model's own defaults.
        most: how many probes a concept, and how many of other concepts. Stills of the image twin,
            but for motions: those are clips.
        videos: how many of each are clips all the same: the first of as many rounds.

    Raises:
        NothingToJudge: the judge does not know the concept.
    """
    for concept in concepts:
        if not judge.knows(concept.name, concept.kind):
            known = ", ".join(judge.labels.get(concept.kind, ())) or f"no {concept.kind} at all"
            raise NothingToJudge(
                f"The judge does not know the {concept.kind} {concept.name!r}, so whether it is "
                f"forgotten cannot be measured; it knows {known}.",
                param="concept",
            )
    kinds = {concept.kind for concept in concepts}

    def probes_of(asked: Iterable[Named], *, is_target: bool) -> list[Probe]:
        earlier: Counter[Named] = Counter()
        found: list[Probe] = []
        for i, named in enumerate(islice(asked, most)):
            prompt, looked_for, kind = named
            is_clip = kind == "motion" or (i % ROUND == 0 and i // ROUND < videos)
            base = GenerationRequest(
                prompt,
                seed=_seed(named, earlier[named]),
                steps=capabilities.steps_default,
                guidance=capabilities.guidance_default,
                frames=capabilities.frames_default if is_clip else None,
                low_priority=True,
            )
            probe = Probe(
                looked_for,
                kind,
                is_target,
                kind in kinds,
                i // ROUND,
                base,
                replace(base, encoder=encoder),
            )
            found.append(probe)
            earlier[named] += 1
        return found

    groups = [probes_of(cycle(_targets(c, book)), is_target=True) for c in concepts]
    groups.append(probes_of(_alternating(_others(concepts, judge, book)), is_target=False))
    return ProbePlan(tuple(_in_turn(groups)))


def any_frame(shown: Sequence[bool]) -> bool:
    """Whether any frame shows it: the rule for what should be gone."""
    return any(shown)


def most_frames(shown: Sequence[bool]) -> bool:
    """Whether more than half of the frames show it: the rule for what should still be there."""
    return 2 * sum(shown) > len(shown)


def _targets(concept: Concept, book: PromptBook) -> list[Named]:
    """Prompts that name the concept and were never trained on, shuffled."""
    name, kind, names = concept.name, concept.kind, names_of(concept, book)
    prompts = captions_naming(book, names, held_out=False)
    prompts += held_out_prompts(name, kind, book=book)
    trained_on = trained_prompts(concept, book)
    return _shuffled([(prompt, name, kind) for prompt in prompts if prompt not in trained_on])


def _others(
    concepts: Sequence[Concept], judge: Judge, book: PromptBook
) -> tuple[list[Named], list[Named]]:
    """Prompts for every other concept of the judge's `labels`: those of the same kinds, and those
    of the other kinds; in each list every concept comes once before any comes a second time.
    """
    forgotten = {(concept.name, concept.kind) for concept in concepts}
    names = [name for concept in concepts for name in names_of(concept, book)]
    same: list[list[Named]] = []
    other: list[list[Named]] = []
    for kind, labels in judge.labels.items():
        of_kind = _in_turn(
            _shuffled([(prompt, label, kind) for prompt in _naming(label, kind, names, book)])
            for label in labels
            if (label, kind) not in forgotten
        )
        (same if kind in {concept.kind for concept in concepts} else other).append(of_kind)
    return _in_turn(same), _in_turn(other)


def _naming(label: str, kind: Kind, without: Sequence[str], book: PromptBook) -> list[str]:
    """Prompts that name one concept and mention none of the other names."""
    names = all_names(label, kind, (), book)
    named = captions_naming(book, names, held_out=True)
    found = [caption for caption in named if not mentions(caption, without)]
    return found or [
        prompt
        for prompt in held_out_prompts(label, kind, book=book)
        if not mentions(prompt, without)
    ]


def _shuffled(prompts: Sequence[Named]) -> list[Named]:
    """In an order that depends on each prompt alone: books list theirs by the alphabet, in which a
    beginning would be all of one sentence form, and without the others a prompt keeps its turn.
    """
    return sorted(prompts, key=_number)


def _seed(named: Named, repetition: int) -> int:
    """Of a probe, for every encoder the same; at 2^62 and above, where nobody counts from 0 to."""
    return 2**62 + _number((*named, repetition)) % 2**62


def _number(of: tuple[Any, ...]) -> int:
    """A number as good as drawn at random, the same on every machine."""
    return int.from_bytes(sha256(repr(of).encode()).digest())


def _in_turn(lists: Iterable[list[Any]]) -> list[Any]:
    """The first of each list, then the second of each, and so on."""
    kept = list(lists)
    longest = max(map(len, kept), default=0)
    return [each[i] for i in range(longest) for each in kept if i < len(each)]


def _alternating(pools: Sequence[Sequence[Named]]) -> Iterator[Named]:
    """One from each pool in turn, each pool from its beginning again once it is used up."""
    endless = [cycle(pool) for pool in pools if pool]
    while endless:
        yield from (next(pool) for pool in endless)
