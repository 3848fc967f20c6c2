"""S5: how long it takes to forget as surely, against the published procedure: seconds of making,
judging apart. `python -m benchmarks.forgetting.speed`, the second half of `make bench-forgetting`.

Both learn in steps, so both are run at several lengths, and the shortest counts that forgets the
concept in at least `ENOUGH` of the pictures. The published procedure (Fuchi & Takagi's code, as
`ascent` follows it) also needs its images, which cost time of their own; they are left out here and
said beside it.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer

from benchmarks.forgetting.bench import Bench, cases
from benchmarks.forgetting.cases import CONCEPTS, KIND_OF, first
from benchmarks.forgetting.figures import forgotten
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.outcomes import Outcome, outcome
from benchmarks.forgetting.sampling import Shot, sample
from benchmarks.results import ratio, write
from encoders import Concept
from unlearn import UnlearnSettings, UnlearnTask, few_shot_requests, unlearn
from unlearn.settings import Method

ENOUGH = 0.97
STILLS, CLIPS = 16, 6
STEPS: dict[Method, tuple[int, ...]] = {
    "redirect": (5, 10, 15, 25, 40),
    "ascent": (5, 10, 15, 20, 30, 45, 60),
}


def main(
    work: Annotated[Path, typer.Option(help="Where everything made is kept.")] = Path(
        ".work/bench-forgetting"
    ),
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
) -> None:
    """Write `benchmarks/results/forgetting-speed.json`."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    write("forgetting-speed", speed(Bench(work)))


def speed(bench: Bench) -> dict[str, Any]:
    """By concept: the shortest run of each method that forgets, its seconds, and what it costs of
    others of the kind; and over all concepts the ratio of seconds, where both forget."""
    found: dict[str, Any] = {}
    for names in CONCEPTS.values():
        for concept in names[:2]:
            found[concept] = {
                method: _shortest(bench, method, concept, steps) for method, steps in STEPS.items()
            }
            print(f"{concept}: {found[concept]}", flush=True)
    both = [one for one in found.values() if all(one[method]["forgets"] for method in STEPS)]
    return {
        "concepts": found,
        "ascent never forgets": [n for n, one in found.items() if not one["ascent"]["forgets"]],
        "ascent ÷ redirect": ratio(
            [one["ascent"]["seconds"] for one in both],
            [one["redirect"]["seconds"] for one in both],
        )
        if both
        else None,
        "images": _seconds_of_images(bench),
    }


def _shortest(
    bench: Bench, method: Method, concept: str, lengths: tuple[int, ...]
) -> dict[str, Any]:
    """The first of the lengths that forgets; the last, if none does."""
    kind = KIND_OF[concept]
    images = (bench.few_shots(concept, kind),) if method == "ascent" else ()
    result: dict[str, Any] = {}
    for steps in lengths:
        task = UnlearnTask(
            (Concept(name=concept, kind=kind),), UnlearnSettings(method=method, steps=steps), images
        )
        began = perf_counter()
        run = unlearn(task, bench.backbone)
        for _ in run:
            pass
        seconds = perf_counter() - began
        encoder = Intervention(method, concept, kind, overrides=run.encoder.overrides)
        ua = forgotten(_look(bench, concept, "target", encoder))
        same = _look(bench, concept, "same kind", encoder)
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


def _look(bench: Bench, concept: str, group: Any, encoder: Intervention) -> list[Outcome]:
    kind = KIND_OF[concept]
    moving = kind == "motion"
    asked = first(
        cases(concept, kind, group, bench.backbone, moving=moving), CLIPS if moving else STILLS
    )
    shots = [Shot(case.prompt, case.seed) for case in asked]
    pictures = sample(bench.backbone, shots, moving=moving, intervention=encoder)
    return [
        outcome(bench.judge, frames, case) for frames, case in zip(pictures, asked, strict=True)
    ]


def _seconds_of_images(bench: Bench) -> dict[str, float]:
    """What the few images cost: four stills, and for a motion four clips."""
    seconds: dict[str, float] = {}
    for concept in ("pogo", "bouncing"):
        requests = few_shot_requests(
            concept, KIND_OF[concept], limits=bench.backbone.limits, book=bench.backbone.prompts
        )
        shots = [Shot(request.prompt, request.seed) for request in requests]
        began = perf_counter()
        sample(bench.backbone, shots, moving=KIND_OF[concept] == "motion")
        seconds[KIND_OF[concept]] = round(perf_counter() - began, 2)
    return seconds


if __name__ == "__main__":
    typer.run(main)
