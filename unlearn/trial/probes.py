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
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Literal

from encoders import Concept, EncoderRef, Kind, PalimpsestError
from unlearn.prompts import names_of
from unlearn.trial.gate import Gate
from unlearn.trial.probe_prompts import (
    NamedPrompt,
    alternating,
    in_turn,
    number,
    other_prompts,
    prompts_naming,
    shuffled,
    target_prompts,
)
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from unlearn.judges.base import Judge, Vocabulary
    from video.capabilities import Capabilities
    from video.models.prompt_book import PromptBook

Group = tuple[str, Kind] | tuple[str, Kind, Literal["neighbour"]] | None
"""A group of probes that is counted together: those of one concept that is to be forgotten, by its
name and kind, those of one near concept that is to be kept, or None for those of all concepts that
are to be kept."""

ROUND = 4
"""The number of probes of each group in a round. Three rounds without a miss are enough for a limit
of 10 % (`unlearn.trial.sequential.ODDS`)."""

NEAREST = 5
"""Near concepts of each forgotten one that get probes of their own (`unlearn.trial.neighbours`)."""
AGAIN = 8
"""The other concepts' probes whose base picture is made with another seed too, for the unit of
distances (`unlearn.trial.distance`)."""


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
    neighbour: bool = False
    """True if it is a near concept's, which is counted by itself."""
    again: GenerationRequest | None = None
    """The request to the base with another seed, for the unit of distances; mostly None."""

    @property
    def requests(self) -> tuple[GenerationRequest, ...]:
        """All requests of the probe: to the base, to the encoder, and `again` if it has one."""
        return (self.base, self.encoder, *([] if self.again is None else [self.again]))

    @property
    def group(self) -> Group:
        """The group that the probe is counted in."""
        if self.neighbour:
            return self.concept, self.kind, "neighbour"
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
    gate: Gate | None = None,
    neighbours: Sequence[tuple[str, Kind]] = (),
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
        gate: the numbers of probes of each concept, of the others and of each neighbour. Probes are
            stills of the image twin; those of motions are clips. None: `Gate()`, the tier `quick`.
        neighbours: near concepts that are asked for by themselves (`unlearn.trial.neighbours`).
        videos: the number of each group's other probes that are clips too: the first probe of each
            of the first so many rounds. A neighbour's are all stills.

    Raises:
        NothingToJudge: the judge does not know a concept.
    """
    check_known(concepts, judge)
    kinds = {concept.kind for concept in concepts}

    names = [name for concept in concepts for name in names_of(concept, book)]

    def probes_of(
        asked: Iterable[NamedPrompt], count: int, *, is_target: bool = False, near: bool = False
    ) -> list[Probe]:
        earlier: Counter[NamedPrompt] = Counter()
        found: list[Probe] = []
        for i, named in enumerate(islice(asked, count)):
            clips = 0 if near else videos
            is_clip = named[2] == "motion" or (i % ROUND == 0 and i // ROUND < clips)
            probe = probe_of(
                named,
                encoder=encoder,
                capabilities=capabilities,
                kinds=None if is_target else kinds,
                seed=_seed(named, earlier[named]),
                is_clip=is_clip,
                round=i // ROUND,
            )
            found.append(replace(probe, neighbour=near))
            earlier[named] += 1
        return found

    gate = gate or Gate()
    groups = [
        probes_of(cycle(target_prompts(c, book)), gate.max_probes, is_target=True) for c in concepts
    ]
    others = probes_of(alternating(other_prompts(concepts, judge, book)), gate.most_retain_probes)
    groups.append(others if gate.max_retain_distance is None else _some_again(others))
    for label, kind in neighbours:
        asked: list[NamedPrompt] = [
            (prompt, label, kind) for prompt in prompts_naming(label, kind, names, book)
        ]
        groups.append(probes_of(cycle(shuffled(asked)), gate.neighbour_probes, near=True))
    return ProbePlan(tuple(in_turn(groups)))


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


def check_known(concepts: Sequence[Concept], judge: Vocabulary) -> None:
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


def _some_again(probes: Sequence[Probe]) -> list[Probe]:
    """Give the first `AGAIN` stills a request with another seed."""
    stills = [probe for probe in probes if probe.base.frames is None][:AGAIN]
    chosen = {probe.base for probe in stills}
    return [
        replace(probe, again=replace(probe.base, seed=probe.base.seed ^ 1))
        if probe.base in chosen
        else probe
        for probe in probes
    ]


def _seed(named: NamedPrompt, repetition: int) -> int:
    """Derive a probe's seed, the same for every encoder.

    Seeds lie in [2^62, 2^63), out of the way of seeds that are counted up from 0.
    """
    return 2**62 + number((*named, repetition)) % 2**62
