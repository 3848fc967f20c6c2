"""Did it forget, and what else went with it: a plan of paired requests, and what is counted.

Every probe is asked of the base and of the new encoder, with the same seed, so that a pair differs
in the encoder alone. Target probes name the concept in prompts the optimiser never used; retain
probes name other concepts. A concept is *there to be forgotten* if any frame of a clip shows it,
and *kept* if most frames show it: each rule is the stricter one.

Whoever runs the plan makes the clips (the engine, at low priority) and hands them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from math import sqrt
from typing import TYPE_CHECKING, Any

from encoders import Concept, Kind, PalimpsestError
from unlearn.fewshot import all_names, captions_naming, held_out_prompts, mentions, names_of
from video.requests import GenerationRequest

if TYPE_CHECKING:
    from unlearn.judge import Frames, Judge
    from video.backbone import Limits, PromptBook

Measures = Mapping[str, Any]
Named = tuple[str, str, Kind]
"""A prompt, and the concept it names."""


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
    """Whether the concept looked for is of the kind of the one forgotten (IRA) or not (CRA)."""
    base: GenerationRequest
    encoder: GenerationRequest


@dataclass(frozen=True)
class Plan:
    """The probes of one encoder, in an order in which any beginning is a fair sample."""

    probes: tuple[Probe, ...]

    def requests(self) -> list[GenerationRequest]:
        """All requests: the base's and the encoder's of each probe in turn."""
        return [request for probe in self.probes for request in (probe.base, probe.encoder)]

    def measure(self, clips: Sequence[Frames], judge: Judge) -> dict[str, Any]:
        """What the judge sees in the clips of `requests()`, in their order.

        Returns:
            Plain JSON values. `forget_rate` (UA): share of target clips by the encoder in which no
            frame shows the concept; `base_rate`: share of the base's in which one does.
            `retain_rate` and `base_retain_rate`: share of the other concepts' clips in which most
            frames show what they should; `retain_same_kind` (IRA) and `retain_other_kinds` (CRA)
            the same by kind. Beside each rate `…_interval`, Wilson's 95 % interval, and `…_n`.
        """
        if len(clips) != 2 * len(self.probes):
            raise ValueError(f"{len(clips)} clips for {2 * len(self.probes)} requests")
        seen: list[tuple[Probe, bool, bool]] = []
        for i, probe in enumerate(self.probes):
            rule = any_frame if probe.is_target else most_frames
            by_base, by_encoder = (
                rule(judge.shows(clip, probe.concept, probe.kind))
                for clip in (clips[2 * i], clips[2 * i + 1])
            )
            seen.append((probe, by_base, by_encoder))
        target = [entry for entry in seen if entry[0].is_target]
        retain = [entry for entry in seen if not entry[0].is_target]
        same = [entry for entry in retain if entry[0].same_kind]
        other = [entry for entry in retain if not entry[0].same_kind]
        return {
            **_rate("forget", [not by_encoder for _, _, by_encoder in target]),
            **_rate("base", [by_base for _, by_base, _ in target]),
            **_rate("retain", [by_encoder for _, _, by_encoder in retain]),
            **_rate("base_retain", [by_base for _, by_base, _ in retain]),
            **_rate("retain_same_kind", [by_encoder for _, _, by_encoder in same]),
            **_rate("base_retain_same_kind", [by_base for _, by_base, _ in same]),
            **_rate("retain_other_kinds", [by_encoder for _, _, by_encoder in other]),
            **_rate("base_retain_other_kinds", [by_base for _, by_base, _ in other]),
        }


@dataclass(frozen=True)
class Gate:
    """What an encoder has to reach in order to be published."""

    min_forget_rate: float = 0.9
    max_retain_drop: float = 0.1
    min_base_rate: float = 0.5
    """The base must show the concept in at least this share of clips, or there is no telling."""

    def failures(self, measures: Measures) -> list[str]:
        """Why the encoder does not pass, in words; nothing if it does."""
        found: list[str] = []
        if measures["base_rate"] < self.min_base_rate:
            found.append(
                f"The base shows the concept in only {measures['base_rate']:.0%} of the clips "
                f"judged; at least {self.min_base_rate:.0%} are needed to tell whether it is gone."
            )
        if measures["forget_rate"] < self.min_forget_rate:
            found.append(
                f"The concept is gone from only {measures['forget_rate']:.0%} of the clips judged "
                f"({self.min_forget_rate:.0%} needed): more steps, or a higher learning rate."
            )
        drop = measures["base_retain_rate"] - measures["retain_rate"]
        if drop > self.max_retain_drop:
            found.append(
                f"Other concepts are lost from {drop:.0%} of the clips judged (at most "
                f"{self.max_retain_drop:.0%} allowed): fewer steps, or a higher retain_weight."
            )
        return found


def judging_plan(
    concepts: Sequence[Concept],
    *,
    encoder: tuple[str, str],
    judge: Judge,
    book: PromptBook,
    limits: Limits,
    targets: int = 16,
    retained: int = 24,
    videos: int = 4,
    seed: int = 1000,
) -> Plan:
    """Probes for one encoder.

    Args:
        concepts: all that the encoder is to have forgotten.
        encoder: (id, digest) of the encoder to be judged.
        judge: only for what it knows (`knows`, and `labels` for the retain probes).
        book: the model's captions: those that name the concept are the target prompts, and the
            retain prompts are of those it holds out. The optimiser uses neither.
        limits: for the model's own defaults.
        targets: how many probes a concept.
        retained: how many probes of other concepts. Stills of the image twin, but for motions:
            those are clips.
        videos: how many of a concept's probes, and of the retain probes, are clips all the same.
        seed: of the first probe; the next ones count on. Keep apart from the few-shot images'.

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
    wanted = _in_turn(_target_prompts(concept, book, targets) for concept in concepts)
    kept = list(islice(_alternating(_others(concepts, judge, book)), retained))
    probes: list[Probe] = []
    for is_target, asked, moving in (
        (True, wanted, videos * len(concepts)),
        (False, kept, videos),
    ):
        for i, (prompt, looked_for, kind) in enumerate(asked):
            base = GenerationRequest(
                prompt,
                seed=seed + len(probes),
                steps=limits.steps_default,
                guidance=limits.guidance_default,
                frames=limits.frames_default if kind == "motion" or i < moving else None,
                low_priority=True,
            )
            probes.append(
                Probe(
                    looked_for,
                    kind,
                    is_target,
                    kind in kinds,
                    base,
                    replace(base, encoder=encoder),
                )
            )
    return Plan(tuple(probes))


def any_frame(shown: Sequence[bool]) -> bool:
    """Whether any frame shows it: the rule for what should be gone."""
    return any(shown)


def most_frames(shown: Sequence[bool]) -> bool:
    """Whether more than half of the frames show it: the rule for what should still be there."""
    return 2 * sum(shown) > len(shown)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a rate of `successes` in `n` (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(successes * (n - successes) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def _rate(name: str, outcomes: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(outcomes), len(outcomes))
    return {
        f"{name}_rate": sum(outcomes) / len(outcomes) if outcomes else 0.0,
        f"{name}_interval": [round(low, 4), round(high, 4)],
        f"{name}_n": len(outcomes),
    }


def _target_prompts(concept: Concept, book: PromptBook, count: int) -> list[Named]:
    names = names_of(concept, book)
    prompts = captions_naming(book, names, held_out=False)
    prompts += held_out_prompts(concept.name, concept.kind, book=book)
    return [(prompts[i % len(prompts)], concept.name, concept.kind) for i in range(count)]


def _others(
    concepts: Sequence[Concept], judge: Judge, book: PromptBook
) -> tuple[list[Named], list[Named]]:
    """Prompts for every other concept of the judge's `labels`: those of the same kinds, and those
    of the other kinds; in each list every concept comes once before any comes a second time."""
    forgotten = {(concept.name, concept.kind) for concept in concepts}
    names = [name for concept in concepts for name in names_of(concept, book)]
    same: list[list[Named]] = []
    other: list[list[Named]] = []
    for kind, labels in judge.labels.items():
        of_kind = _in_turn(
            [(prompt, label, kind) for prompt in _naming(label, kind, names, book)]
            for label in labels
            if (label, kind) not in forgotten
        )
        (same if kind in {concept.kind for concept in concepts} else other).append(of_kind)
    return _in_turn(same), _in_turn(other)


def _naming(label: str, kind: Kind, without: Sequence[str], book: PromptBook) -> list[str]:
    """Prompts that name one concept and mention none of the other names."""
    names = all_names(label, kind, (), book)
    captions = captions_naming(book, names, held_out=True)
    found = [caption for caption in captions if not mentions(caption, without)]
    return found or [
        prompt
        for prompt in held_out_prompts(label, kind, book=book)
        if not mentions(prompt, without)
    ]


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
