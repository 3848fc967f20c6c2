"""Ways that nobody listed (goal F12): typed words that bring a concept back without its names.

Two encoders of each concept are compared: one that was made without looking for ways, and one that
also forgets the ways found by the base and the judge (`unlearn.ways`). Three hundred phrases are
typed in the place of the name. A third of them the base reads as nearest to the concept; a third
are drawn at random from words of the vocabulary and of the concept's descriptions; a third are
found by a greedy search against the encoder itself (`TypedSearch`). None has a name of the concept,
and none is a way that was forgotten. The descriptions are `benchmarks.forgetting.descriptions`.

Everything is on stills; phrases and ways stay in the work folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.forgetting.cases import Case
from benchmarks.forgetting.descriptions import DESCRIBED, LEVELS, NAMED
from benchmarks.forgetting.experiment import BASE, Experiment, source_mark
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import OURS, encoder_with
from benchmarks.forgetting.sets import single
from benchmarks.forgetting.typed_evasion import TypedSearch, TypedSizes
from benchmarks.results import rate
from encoders import Concept, Kind
from encoders.way import Way
from unlearn.prompts import mentions, names_of, phrase
from unlearn.ways import find_ways
from unlearn.ways.candidates import candidate_steps
from unlearn.ways.sentences import sentences_with
from unlearn.ways.words import describing_words, whole_words

CONCEPTS: Mapping[str, Kind] = {"mira": "person", "suri": "person", "star": "object"}
TYPED_SEED, DESCRIBED_SEED = 90_000, 95_000
WITHOUT, WITH = "without ways", "with ways"
SENTENCES = 3
MOST_WORDS = 4
"""Words of a random phrase."""


@dataclass(frozen=True)
class WaysSizes:
    """Phrases of each of the three sorts, the greedy search, and pictures of each description."""

    phrases: int = 100
    search: TypedSizes = field(
        default_factory=lambda: TypedSizes(starts=100, passes=1, tried=16, sentences=1)
    )
    seeds: int = 4


COARSE_WAYS = WaysSizes(phrases=10, search=TypedSizes(10, 1, 8, 1), seeds=1)


def ways(experiment: Experiment, sizes: WaysSizes, concepts: Sequence[str]) -> dict[str, Any]:
    """Return how often each encoder shows its concept, and the base, by concept and over all."""
    by_concept: dict[str, Any] = {}
    counts: dict[str, dict[str, list[bool]]] = {}
    for name in concepts:
        by_concept[name] = {}
        concept = Concept(name=name, kind=CONCEPTS[name])
        found = found_ways(experiment, concept)
        made = {
            WITHOUT: single(experiment, name, concept.kind),
            WITH: _forgetting(experiment, concept, found),
        }
        for which, encoder in made.items():
            shown = _shown(experiment, concept, found, encoder, sizes)
            by_concept[name][which] = {
                group: {who: rate(sum(seen), len(seen)) for who, seen in one.items()}
                for group, one in shown.items()
            }
            for group, one in shown.items():
                for who, seen in one.items():
                    counts.setdefault(f"{which}: {group}", {}).setdefault(who, []).extend(seen)
            print(f"{name}, {which}: {by_concept[name][which]}", flush=True)
        by_concept[name]["ways"] = [way.model_dump(mode="json") for way in found]
    together = {
        group: {who: rate(sum(seen), len(seen)) for who, seen in one.items()}
        for group, one in counts.items()
    }
    return {"concepts": by_concept, "all": together}


def found_ways(experiment: Experiment, concept: Concept) -> tuple[Way, ...]:
    """Return the ways that the search finds, kept on disk."""
    rows = _kept(
        experiment,
        f"found-{concept.name}",
        lambda: [
            way.model_dump(mode="json")
            for way in find_ways(concept, experiment.backbone, experiment.judge)
        ],
    )
    return tuple(Way.model_validate(row) for row in rows)


def _forgetting(experiment: Experiment, concept: Concept, found: Sequence[Way]) -> Intervention:
    """Return the encoder that forgets the concept's ways too."""
    mark = _hash([way.model_dump(mode="json") for way in found if way.forgotten])
    whole = concept.model_copy(update={"ways": tuple(found)})
    images = experiment.few_shots(concept.name, concept.kind)
    return experiment.once(
        f"ways-{source_mark(OURS)}-{mark}-{concept.name}",
        f"{OURS}, with ways",
        concept.name,
        concept.kind,
        lambda: encoder_with(experiment.backbone, [whole], [images]),
    )


def _shown(
    experiment: Experiment,
    concept: Concept,
    found: Sequence[Way],
    encoder: Intervention,
    sizes: WaysSizes,
) -> dict[str, dict[str, list[bool]]]:
    """Return by group of prompts, and by the base and the encoder, what shows the concept."""
    groups = {"typed": _typed(experiment, concept, found, encoder, sizes)}
    groups |= _described(experiment, concept, sizes.seeds)
    shown: dict[str, dict[str, list[bool]]] = {}
    for group, cases in groups.items():
        name = f"{concept.name}/ways-{group.replace(' ', '-')}"
        shown[group] = {
            who: [one.any for one in experiment.judged(name, iter(cases), len(cases), intervention)]
            for who, intervention in ((BASE, None), ("encoder", encoder))
        }
    return shown


def _typed(
    experiment: Experiment,
    concept: Concept,
    found: Sequence[Way],
    encoder: Intervention,
    sizes: WaysSizes,
) -> list[Case]:
    """Return stills for the phrases of all three sorts, each in one of `SENTENCES` sentences."""
    backbone, names = experiment.backbone, names_of(concept, experiment.backbone.prompts)
    trained = {way.phrase for way in found if way.forgotten}

    def fresh(phrases: Sequence[str]) -> list[str]:
        kept = (one for one in dict.fromkeys(phrases) if one not in trained)
        return [one for one in kept if not mentions(one, names)][: sizes.phrases]

    def ranked() -> list[str]:
        *_, last = candidate_steps(concept, backbone, sizes.phrases + len(trained))
        return last

    def greedy() -> list[str]:
        search = TypedSearch(experiment, concept.name, sizes.search, "always on", encoder)
        return [" ".join(search.words(start)) for start in range(sizes.search.starts)]

    tag = f"{concept.name}-{sizes.phrases}"
    phrases = [
        *fresh(_kept(experiment, f"ranked-{tag}", ranked)),
        *fresh(_kept(experiment, f"random-{tag}", lambda: _random(experiment, concept, sizes))),
        *fresh(_kept(experiment, f"greedy-{tag}-{_identity(encoder)}", greedy)),
    ]
    book, kind = backbone.prompts, concept.kind
    return [
        Case(
            sentences_with(phrase(one, kind), kind, book, SENTENCES)[i % SENTENCES],
            TYPED_SEED + i,
            concept.name,
            kind,
            is_video=False,
        )
        for i, one in enumerate(phrases)
    ]


def _random(experiment: Experiment, concept: Concept, sizes: WaysSizes) -> list[str]:
    """Return phrases of one to `MOST_WORDS` words, half of them of the concept's descriptions."""
    backbone = experiment.backbone
    names = names_of(concept, backbone.prompts)
    own = describing_words(names, [concept.name])
    steps = whole_words(backbone, names, 1 << 20)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            words: list[str] = done.value
            break
    rng = np.random.default_rng(12)
    return [
        " ".join(
            str(rng.choice(own if rng.random() < 0.5 else words))
            for _ in range(int(rng.integers(1, MOST_WORDS + 1)))
        )
        for _ in range(2 * sizes.phrases)
    ]


def _described(experiment: Experiment, concept: Concept, seeds: int) -> dict[str, list[Case]]:
    """Return stills of each level of descriptions."""
    name, kind = concept.name, concept.kind
    first, *others = names_of(concept, experiment.backbone.prompts)
    by_level: dict[str, Sequence[str]] = {
        "name": [sentence.format(concept=phrase(first, kind)) for sentence in NAMED],
        "synonyms": [s.format(concept=phrase(one, kind)) for one in others for s in NAMED],
        **DESCRIBED[name],
    }
    return {
        level: [
            Case(prompt, DESCRIBED_SEED + i, name, kind, is_video=False)
            for i, prompt in zip(range(seeds * len(by_level[level])), cycle(by_level[level]))
        ]
        for level in LEVELS
    }


def _kept(experiment: Experiment, name: str, make: Callable[[], Any]) -> Any:
    """Return a JSON value, made at the first call and kept in the work folder."""
    path = experiment.work / "ways" / f"{name}.json"
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made))
    return json.loads(path.read_text())


def _identity(encoder: Intervention) -> str:
    return _hash(sorted((name, float(t.double().sum())) for name, t in encoder.tensors.items()))


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
