"""Probes: paired requests that measure if an encoder forgets its concepts and keeps the others.

Every probe goes to the base and to the new encoder with the same seed, so that the two clips differ
by the encoder alone. Target probes name a concept that is to be forgotten, in prompts that the
optimiser never used; retain probes name other concepts. A concept is *present* where it is to be
forgotten if any frame of a clip shows it, and *kept* if most frames show it: each rule is the
stricter one.

Probes come in rounds, and a trial may stop after any of them (`unlearn.trial.trial`). A probe's
prompt and seed follow from the concepts and the model alone, never from the encoder or its
settings. The base's clip is therefore the same for every encoder, and can be cached.

The plan makes no clips: its caller has them made (by the engine, at low priority) and judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from encoders import Concept, EncoderRef, Kind, PalimpsestError
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

PROBED_WAY_RATE = 0.75
"""Least rate of a way that is probed: others would ask what the base does not show either."""

NamedPrompt = tuple[str, str, Kind]
"""A prompt, and the name and kind of the concept that it names."""

Group = tuple[str, Kind] | None
"""A group of probes that is counted together: those of one concept that is to be forgotten, by its
name and kind, or None for those of all concepts that are to be kept."""

ROUND = 4
"""The number of probes of each group in a round. Three rounds without a miss are enough for a limit
of 10 % (`unlearn.trial.sequential.ODDS`)."""


class NothingToJudge(PalimpsestError):
    """A concept that the judge does not know, so its forgetting cannot be measured."""

    code = "nothing_to_judge"


@dataclass(frozen=True)
class Probe:
    """One prompt and seed for both encoders, and the concept that the judge looks for."""

    concept: str
    kind: Kind
    is_target: bool
    """True if the concept is to be forgotten, false if it is to be kept."""
    same_kind: bool
    """True if a concept that is to be forgotten has the same kind (IRA), else false (CRA)."""
    round: int
    """The round in which it is asked, from 0."""
    base: GenerationRequest
    """The request to the base encoder."""
    encoder: GenerationRequest
    """The same request to the encoder that is judged."""

    @property
    def group(self) -> Group:
        """The group that the probe is counted in."""
        return (self.concept, self.kind) if self.is_target else None


@dataclass(frozen=True)
class ProbePlan:
    """The probes of one encoder: round by round, and within a round the groups in turn."""

    probes: tuple[Probe, ...]


def judging_plan(
    concepts: Sequence[Concept],
    *,
    encoder: EncoderRef,
    judge: Judge,
    book: PromptBook,
    capabilities: Capabilities,
    most: int = 32,
    videos: int = 2,
) -> ProbePlan:
    """Plan the probes for one encoder.

    Args:
        concepts: all concepts that the encoder is to have forgotten.
        encoder: the encoder to be judged.
        judge: asked only for what it knows (`knows`, and `labels` for the retain probes).
        book: the model's captions. Those that name a concept are its target prompts; the retain
            prompts come from its held-out captions. The optimiser uses neither.
        capabilities: the model's, for its default steps, guidance and frames.
        most: the number of probes of each group. Probes are stills of the image twin; those of
            motions are clips.
        videos: the number of each group's other probes that are clips too: the first probe of each
            of the first so many rounds.

    Raises:
        NothingToJudge: the judge does not know a concept.
    """
    check_known(concepts, judge)
    kinds = {concept.kind for concept in concepts}

    def probes_of(asked: Iterable[NamedPrompt], *, is_target: bool) -> list[Probe]:
        earlier: Counter[NamedPrompt] = Counter()
        found: list[Probe] = []
        for i, named in enumerate(islice(asked, most)):
            is_clip = named[2] == "motion" or (i % ROUND == 0 and i // ROUND < videos)
            probe = probe_of(
                named,
                encoder=encoder,
                capabilities=capabilities,
                kinds=None if is_target else kinds,
                seed=_seed(named, earlier[named]),
                is_clip=is_clip,
                round=i // ROUND,
            )
            found.append(probe)
            earlier[named] += 1
        return found

    groups = [probes_of(cycle(target_prompts(c, book)), is_target=True) for c in concepts]
    groups.append(probes_of(_alternating(other_prompts(concepts, judge, book)), is_target=False))
    return ProbePlan(tuple(_in_turn(groups)))


def probe_of(
    named: NamedPrompt,
    *,
    encoder: EncoderRef,
    capabilities: Capabilities,
    kinds: Collection[str] | None,
    seed: int,
    is_clip: bool,
    round: int,
) -> Probe:
    """Return the probe of a prompt.

    Args:
        named: the prompt, with the concept that it names.
        encoder: the encoder to be judged.
        capabilities: the model's, for its default steps, guidance and frames.
        kinds: the kinds of the concepts that are to be forgotten; None for a target probe, whose
            concept is one of them.
        seed: the seed of both clips.
        is_clip: False for a still.
        round: the round in which it is asked.
    """
    prompt, looked_for, kind = named
    base = GenerationRequest(
        prompt,
        seed=seed,
        steps=capabilities.steps_default,
        guidance=capabilities.guidance_default,
        frames=capabilities.frames_default if is_clip else None,
        low_priority=True,
    )
    return Probe(
        looked_for,
        kind,
        is_target=kinds is None,
        same_kind=kinds is None or kind in kinds,
        round=round,
        base=base,
        encoder=replace(base, encoder=encoder),
    )


def check_known(concepts: Sequence[Concept], judge: Judge) -> None:
    """Raise NothingToJudge if the judge does not know one of the concepts."""
    for concept in concepts:
        if not judge.knows(concept.name, concept.kind):
            known = ", ".join(judge.labels.get(concept.kind, ())) or f"no {concept.kind} at all"
            raise NothingToJudge(
                f"The judge does not know the {concept.kind} {concept.name!r}, so whether it is "
                f"forgotten cannot be measured; it knows {known}.",
                param="concept",
            )


def any_frame(shown: Sequence[bool]) -> bool:
    """Return true if any frame shows the concept: the rule for target probes."""
    return any(shown)


def most_frames(shown: Sequence[bool]) -> bool:
    """Return true if more than half of the frames show the concept: the rule for retain probes."""
    return 2 * sum(shown) > len(shown)


def target_prompts(concept: Concept, book: PromptBook) -> list[NamedPrompt]:
    """List the prompts that mean the concept and were never trained on, shuffled.

    They name it, or have one of its forgotten ways that the base mostly draws it with.
    """
    name, kind, names = concept.name, concept.kind, names_of(concept, book)
    prompts = captions_naming(book, names, held_out=False)
    prompts += held_out_prompts(name, kind, book=book)
    drawn = [way for way in concept.ways if way.forgotten and way.rate >= PROBED_WAY_RATE]
    prompts += [held_out_prompts(way.phrase, kind, book=book)[0] for way in drawn]
    trained_on = trained_prompts(concept, book)
    return _shuffled([(prompt, name, kind) for prompt in prompts if prompt not in trained_on])


def other_prompts(
    concepts: Sequence[Concept], judge: Judge, book: PromptBook
) -> tuple[list[NamedPrompt], list[NamedPrompt]]:
    """List prompts for every other concept of the judge's `labels`.

    Returns:
        Those of the forgotten concepts' kinds, and those of the other kinds. In each list every
        concept comes once before any comes a second time.
    """
    forgotten = {(concept.name, concept.kind) for concept in concepts}
    names = [name for concept in concepts for name in names_of(concept, book)]
    same: list[list[NamedPrompt]] = []
    other: list[list[NamedPrompt]] = []
    for kind, labels in judge.labels.items():
        of_kind = _in_turn(
            _shuffled([(prompt, label, kind) for prompt in _naming(label, kind, names, book)])
            for label in labels
            if (label, kind) not in forgotten
        )
        (same if kind in {concept.kind for concept in concepts} else other).append(of_kind)
    return _in_turn(same), _in_turn(other)


def _naming(label: str, kind: Kind, without: Sequence[str], book: PromptBook) -> list[str]:
    """List prompts that name the concept `label` and mention none of the names in `without`."""
    names = all_names(label, kind, (), book)
    named = captions_naming(book, names, held_out=True)
    found = [caption for caption in named if not mentions(caption, without)]
    return found or [
        prompt
        for prompt in held_out_prompts(label, kind, book=book)
        if not mentions(prompt, without)
    ]


def _shuffled(prompts: Sequence[NamedPrompt]) -> list[NamedPrompt]:
    """Sort prompts by a hash of each.

    Books list captions alphabetically, so the first few would all have one sentence form. The hash
    depends on the prompt alone, so the order of two prompts does not depend on the others.
    """
    return sorted(prompts, key=_number)


def _seed(named: NamedPrompt, repetition: int) -> int:
    """Derive a probe's seed, the same for every encoder.

    Seeds lie in [2^62, 2^63), out of the way of seeds that are counted up from 0.
    """
    return 2**62 + _number((*named, repetition)) % 2**62


def _number(of: tuple[Any, ...]) -> int:
    """Hash a tuple to a number, the same on every machine."""
    return int.from_bytes(sha256(repr(of).encode()).digest())


def _in_turn(lists: Iterable[list[Any]]) -> list[Any]:
    """Interleave lists: the first item of each, then the second of each, and so on."""
    kept = list(lists)
    longest = max(map(len, kept), default=0)
    return [each[i] for i in range(longest) for each in kept if i < len(each)]


def _alternating(pools: Sequence[Sequence[NamedPrompt]]) -> Iterator[NamedPrompt]:
    """Yield one item from each pool in turn, without end; a used-up pool starts again."""
    endless = [cycle(pool) for pool in pools if pool]
    while endless:
        yield from (next(pool) for pool in endless)
