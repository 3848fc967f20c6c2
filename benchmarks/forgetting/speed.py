"""Goal S5: seconds to the same forget rate, compared with the published procedure.

`python -m benchmarks.forgetting.speed` is the second half of `make bench-forgetting`. Judging is
not timed.

Each method runs at several numbers of steps. The shortest run that forgets the concept in at least
`ENOUGH` of the pictures counts. Ours runs at its defaults, without pictures, and without its
adversary: these two defend against attacks and do not raise this rate. The published procedure
(Fuchi & Takagi's code, as `ascent` follows it) needs few-shot images too. The ratio is given for
the training alone, and with the time of the images of each that takes some.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer

from benchmarks.forgetting.cases import CONCEPTS, KIND_OF, first
from benchmarks.forgetting.experiment import Experiment, cases
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import OURS, WITHOUT_PICTURES
from benchmarks.forgetting.metrics import forgotten
from benchmarks.forgetting.outcomes import SampleOutcome, outcome
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.results import ratio, write
from encoders import Concept
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.few_shots import few_shot_requests

ENOUGH = 0.97
STILLS, CLIPS = 16, 6
ASCENT = "ascent"
RUNS: Mapping[str, tuple[UnlearnSettings, tuple[int, ...]]] = {
    OURS: (UnlearnSettings(), (5, 10, 15, 25, 40)),
    f"{OURS}, {WITHOUT_PICTURES}": (UnlearnSettings(), (5, 10, 15, 25, 40)),
    "redirect, no adversary": (UnlearnSettings(adversary_weight=0), (5, 10, 15, 25, 40)),
    ASCENT: (UnlearnSettings(method="ascent"), (5, 10, 15, 20, 30, 45, 60)),
}
"""The settings that are compared, and the numbers of steps that each is tried at."""


def main(
    work: Annotated[Path, typer.Option(help="Where everything made is kept.")] = Path(
        ".work/bench-forgetting"
    ),
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
) -> None:
    """Write `benchmarks/results/forgetting-speed.json`."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    write("forgetting-speed", speed(Experiment(work)))


def speed(experiment: Experiment) -> dict[str, Any]:
    """Measure, by concept, the shortest run of each method that forgets.

    Figures are its seconds and the retention of others of the kind, and over the concepts that both
    methods forget, ascent's seconds ÷ ours.
    """
    found: dict[str, Any] = {}
    for names in CONCEPTS.values():
        for concept in names[:2]:
            found[concept] = {name: _shortest(experiment, name, concept) for name in RUNS}
            print(f"{concept}: {found[concept]}", flush=True)
    images = _seconds_of_images(experiment)
    return {
        "concepts": found,
        "never forgets": {
            name: [concept for concept, one in found.items() if not one[name]["forgets"]]
            for name in RUNS
        },
        "ascent in multiples of": {
            name: _multiples(found, name, images) for name in RUNS if name != ASCENT
        },
        "images": images,
    }


def _multiples(
    found: Mapping[str, Any], ours: str, images: Mapping[str, float]
) -> dict[str, Any] | None:
    """Return ascent's seconds ÷ ours, without and with the time of the images.

    None if no concept is forgotten by both.
    """
    both = [n for n, one in found.items() if one[ours]["forgets"] and one[ASCENT]["forgets"]]
    if not both:
        return None

    def whole(method: str) -> list[float]:
        return [
            found[name][method]["seconds"]
            + (
                images["clips" if KIND_OF[name] == "motion" else "stills"]
                if takes(method, name)
                else 0
            )
            for name in both
        ]

    mine = [found[name][ours]["seconds"] for name in both]
    theirs = [found[name][ASCENT]["seconds"] for name in both]
    return {"training": ratio(theirs, mine), "with images": ratio(whole(ASCENT), whole(ours))}


def takes(method: str, concept: str) -> bool:
    """Return True if a run is given images: ours at its defaults takes stills, as the server's."""
    return method == ASCENT or (method == OURS and KIND_OF[concept] != "motion")


def _shortest(experiment: Experiment, name: str, concept: str) -> dict[str, Any]:
    """Return the figures of the shortest run that forgets; of the longest, if none does."""
    kind = KIND_OF[concept]
    settings, lengths = RUNS[name]
    images = (experiment.few_shots(concept, kind),) if takes(name, concept) else ()
    result: dict[str, Any] = {}
    for steps in lengths:
        task = UnlearnTask((Concept(name=concept, kind=kind),), settings.with_(steps=steps), images)
        began = perf_counter()
        run = unlearn(task, experiment.backbone)
        for _ in run:
            pass
        seconds = perf_counter() - began
        encoder = Intervention(
            name, concept, kind, overrides=run.encoder.overrides, trigger=run.encoder.card.trigger
        )
        ua = forgotten(_look(experiment, concept, "target", encoder))
        same = _look(experiment, concept, "same kind", encoder)
        result = {
            "steps": steps,
            "seconds": round(seconds, 3),
            "UA": ua,
            "kept, same kind": round(sum(one.most for one in same) / len(same), 3),
            "forgets": ua["rate"] >= ENOUGH,
        }
        if result["forgets"]:
            break
    return result


def _look(
    experiment: Experiment, concept: str, group: Any, encoder: Intervention
) -> list[SampleOutcome]:
    kind = KIND_OF[concept]
    is_video = kind == "motion"
    asked = first(
        cases(concept, kind, group, experiment.backbone, is_video=is_video),
        CLIPS if is_video else STILLS,
    )
    shots = [SampleRequest(case.prompt, case.seed) for case in asked]
    pictures = sample(experiment.backbone, shots, is_video=is_video, intervention=encoder)
    return [
        outcome(experiment.judge, frames, case)
        for frames, case in zip(pictures, asked, strict=True)
    ]


def _seconds_of_images(experiment: Experiment) -> dict[str, float]:
    """Time the few-shot images: four stills, and for a motion four clips."""
    seconds: dict[str, float] = {}
    for what, concept in (("stills", "pogo"), ("clips", "bouncing")):
        requests = few_shot_requests(
            concept,
            KIND_OF[concept],
            capabilities=experiment.backbone.capabilities,
            book=experiment.backbone.prompts,
        )
        shots = [SampleRequest(request.prompt, request.seed) for request in requests]
        began = perf_counter()
        sample(experiment.backbone, shots, is_video=KIND_OF[concept] == "motion")
        seconds[what] = round(perf_counter() - began, 2)
    return seconds


if __name__ == "__main__":
    typer.run(main)
