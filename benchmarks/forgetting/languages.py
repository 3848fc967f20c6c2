"""Languages: whether what is forgotten by its English name is forgotten in German too.

The model is the bilingual sibling (`benchmarks.siblings.bilingual`). The same prompts, with the
same seeds, are asked in English and in German: by the English name in both, by the German name, and
by descriptions without a name. Three encoders are compared: one that was given the English name
alone, one that was given the German name as a synonym, and one that retains German captions beside
the model's own, which are English. The ways to the concept that the base and the judge find show if
a server proposes the German name by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from torch.nn.functional import cosine_similarity

from benchmarks.forgetting import metrics
from benchmarks.forgetting.cases import KIND_OF, Case, Group, kept_cases, target_cases
from benchmarks.forgetting.experiment import BASE, Experiment, source_mark
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.outcomes import SampleOutcome
from benchmarks.forgetting.ways import found_ways
from benchmarks.results import points_text, rate, rate_text, show
from benchmarks.siblings.bilingual import make_bilingual
from benchmarks.siblings.german import NAMES, to_german
from benchmarks.siblings.making import WORK
from benchmarks.siblings.model import load_sibling
from encoders import Concept
from starter.captions import STYLE_WORDS, SUBJECT_WORDS
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.methods.name_tokens import tokens_of
from unlearn.prompts import mentions, names_of, retained_captions

ENGLISH_ALONE = "English name"
WITH_NAME = "with German name"
WITH_CAPTIONS = "with German captions"
ENCODERS = (ENGLISH_ALONE, WITH_NAME, WITH_CAPTIONS)
ASKED = (
    "English, name",
    "English, described",
    "German, English name",
    "German, German name",
    "German, described",
)
KEPT: tuple[Group, ...] = ("same kind", "other kinds")
KEPT_GROUPS = tuple(f"{language}, {group}" for group in KEPT for language in ("English", "German"))
_WORDS: Mapping[str, Sequence[str]] = {**SUBJECT_WORDS, **STYLE_WORDS}

Found = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class LanguageSizes:
    """Stills for each concept: of each group of prompts that ask for it, and that do not."""

    asked: int = 24
    kept: int = 24


def languages(
    experiment: Experiment,
    concepts: Sequence[str],
    names: Sequence[str] = ENCODERS,
    sizes: LanguageSizes = LanguageSizes(),
    folder: Path = WORK,
) -> Found:
    """Return the figures of each encoder, pooled over the concepts and for each of them.

    Args:
        experiment: On the built-in model.
        concepts: Of several kinds, except motion.
        names: Encoders, of `ENCODERS`.
        sizes: Pictures for each concept.
        folder: Where `make siblings` keeps them. The bilingual one is made if it is not there.
    """
    if not concepts:
        return {}
    backbone = load_sibling(make_bilingual(folder))
    one = Experiment(experiment.work / "siblings", backbone=backbone)
    lists = {concept: lists_of(one, concept, sizes) for concept in concepts}
    base = {concept: _seen(one, lists[concept], concept, None) for concept in concepts}
    found: Found = {"base shows it": _shown(base), "encoders": {}, "concepts": {}}
    for name in names:
        seen: dict[str, dict[str, list[SampleOutcome]]] = {}
        opened: dict[str, dict[str, list[bool]]] = {}
        for concept in concepts:
            made = encoder(one, concept, name)
            seen[concept] = _seen(one, lists[concept], concept, made)
            opened[concept] = _opened(one, made, lists[concept])
            mine = _figures(
                {concept: base[concept]}, {concept: seen[concept]}, {concept: opened[concept]}
            )
            found["concepts"].setdefault(concept, {})[name] = mine
            print(f"{concept}, {name}: {mine}", flush=True)
        found["encoders"][name] = _figures(base, seen, opened)
    for concept, mine in found["concepts"].items():
        mine["likeness of the names"] = likeness(one, concept)
        ways = found_ways(one, Concept(name=concept, kind=KIND_OF[concept]))
        mine["ways"] = [way.model_dump(mode="json") for way in ways]
    return found


def show_languages(found: Found) -> None:
    """Print the table: UA and losses by encoder, and the base's share of pictures that show it."""
    made = found["encoders"]
    lines = [
        [group, rate_text(shown), *(rate_text(one[group]) for one in made.values())]
        for group, shown in found["base shows it"].items()
    ]
    lines += [
        [f"lost, {group}", "", *(points_text(one[group]) for one in made.values())]
        for group in KEPT_GROUPS
    ]
    lines += [
        [f"opened, {group}", "", *(rate_text(one["opened"][group]) for one in made.values())]
        for group in KEPT_GROUPS
    ]
    show("Forgotten in English, asked for in two languages", ("", "base shows it", *made), lines)


def lists_of(experiment: Experiment, concept: str, sizes: LanguageSizes) -> dict[str, list[Case]]:
    """Return the stills to make by group: `ASKED`, and those of `KEPT` in both languages."""
    kind, backbone = KIND_OF[concept], experiment.backbone

    def asked(*, named: bool) -> list[Case]:
        cases = target_cases(concept, kind, backbone.prompts, is_video=False)
        if not any(mentions(words, [concept]) == named for words in _WORDS[concept]):
            return []  # no wording of "balloon" leaves the word out
        fitting = (case for case in cases if mentions(case.prompt, [concept]) == named)
        return list(islice(fitting, sizes.asked))

    by_name, described = asked(named=True), asked(named=False)
    found: dict[str, list[Case]] = {
        "English, name": by_name,
        "English, described": described,
        "German, English name": list(in_german(by_name, shared=True)),
        "German, German name": list(in_german(by_name)),
        "German, described": list(in_german(described)),
    }
    for group in KEPT:
        cases = kept_cases(concept, kind, group, backbone, is_video=False)
        some = list(islice(cases, sizes.kept))
        found |= {f"English, {group}": some, f"German, {group}": list(in_german(some))}
    return found


def in_german(cases: Iterable[Case], *, shared: bool = False) -> Iterator[Case]:
    """Yield the same cases in German; with English names if `shared`."""
    for case in cases:
        yield replace(case, prompt=to_german(case.prompt, shared=shared))


def settings_of(experiment: Experiment, concept: str, name: str) -> UnlearnSettings:
    """Return an encoder's settings: the defaults, or with German captions to retain as well.

    These are translations of the captions that are retained anyway, so none asks for the concept.
    """
    if name != WITH_CAPTIONS:
        return UnlearnSettings()
    book = experiment.backbone.prompts
    kept = retained_captions(book, names_of(Concept(name=concept, kind=KIND_OF[concept]), book))
    return UnlearnSettings(retain=(*kept, *map(to_german, kept)))


def encoder(experiment: Experiment, concept: str, name: str) -> Intervention:
    """Return an encoder, made at the first call as the server does: with pictures of the concept.

    Args:
        experiment: On the bilingual sibling.
        concept: The concept's name.
        name: One of `ENCODERS`.
    """
    backbone, kind = experiment.backbone, KIND_OF[concept]

    def make() -> Intervention:
        synonyms = (NAMES[concept],) if name == WITH_NAME else ()
        whole = Concept(name=concept, kind=kind, synonyms=synonyms)
        pictures = experiment.few_shots(concept, kind)
        began = perf_counter()
        settings = settings_of(experiment, concept, name)
        run = unlearn(UnlearnTask((whole,), settings, (pictures,)), backbone)
        for _ in run:
            pass
        return Intervention(
            OURS,
            concept,
            kind,
            overrides=run.encoder.overrides,
            trigger=run.encoder.card.trigger,
            seconds=round(perf_counter() - began, 3),
        )

    return experiment.once(
        f"languages-{source_mark(OURS)}-{name.replace(' ', '-')}-{concept}",
        f"{OURS}, {name}",
        concept,
        kind,
        make,
    )


def likeness(experiment: Experiment, concept: str) -> float:
    """Return the cosine of the input embeddings of a concept's English and its German name."""
    text_encoder, backbone = experiment.backbone.text_encoder, experiment.backbone
    matrix = text_encoder.parameters()[text_encoder.token_embedding].float()
    ours, theirs = (matrix[tokens_of(n, backbone)].mean(0) for n in (concept, NAMES[concept]))
    return round(float(cosine_similarity(ours, theirs, dim=0)), 3)


def _seen(
    experiment: Experiment,
    lists: Mapping[str, Sequence[Case]],
    concept: str,
    made: Intervention | None,
) -> dict[str, list[SampleOutcome]]:
    return {
        group: experiment.judged(
            f"{concept}/languages-{group.replace(',', '').replace(' ', '-')}",
            iter(cases),
            len(cases),
            made,
        )
        for group, cases in lists.items()
    }


def _opened(
    experiment: Experiment, made: Intervention, lists: Mapping[str, Sequence[Case]]
) -> dict[str, list[bool]]:
    """Return which prompts of each group open the encoder in a set, by its trigger."""
    backbone, base = experiment.backbone, Intervention(BASE, made.concept, made.kind)
    found: dict[str, list[bool]] = {}
    for group, cases in lists.items():
        prompts = [case.prompt for case in cases]
        pairs = (
            (made.triggered().embed(backbone, [one]), base.embed(backbone, [one]))
            for one in prompts
        )
        found[group] = [bool((now != before).any()) for now, before in pairs]
    return found


def _pooled(seen: Mapping[str, Mapping[str, Sequence[T]]], group: str) -> list[T]:
    return [one for of_concept in seen.values() for one in of_concept[group]]


def _shown(seen: Mapping[str, Mapping[str, Sequence[SampleOutcome]]]) -> Found:
    return {group: metrics.shown(found) for group in ASKED if (found := _pooled(seen, group))}


def _figures(
    base: Mapping[str, Mapping[str, Sequence[SampleOutcome]]],
    seen: Mapping[str, Mapping[str, Sequence[SampleOutcome]]],
    opened: Mapping[str, Mapping[str, Sequence[bool]]],
) -> Found:
    """Return UA by group of prompts that ask, losses by group that do not, and what opened."""
    asked = {group: _pooled(seen, group) for group in ASKED}
    found: Found = {group: metrics.forgotten(of) for group, of in asked.items() if of}
    for group in KEPT_GROUPS:
        found[group] = metrics.kept_drop(_pooled(base, group), _pooled(seen, group))
    by_group = {group: _pooled(opened, group) for group in (*asked, *KEPT_GROUPS)}
    found["opened"] = {group: rate(sum(of), len(of)) for group, of in by_group.items() if of}
    return found
