"""Both methods over every kind, three concepts each: `make bench-methods`.

For each a new encoder is made as the server makes one (four few-shot images by the base, then the
optimisation) and judged on video, paired with the base by seed: how surely the concept is forgotten
(UA), how much of the others of its kind (IRA) and of the other kinds (CRA) is kept, and how many
seconds the optimisation took. What is done is kept in the work folder, so a stopped run goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import numpy as np
import typer

from benchmarks.results import percent, rate, show, write
from benchmarks.workshop import Workshop, weights_mark, workshop
from encoders import Encoder, Kind
from unlearn import (
    UnlearnSettings,
    UnlearnTask,
    few_shot_requests,
    few_shots_of,
    judging_plan,
    unlearn,
)
from unlearn.judging import any_frame, most_frames
from video.backbone import Frames

Method = Literal["redirect", "ascent"]
METHODS: tuple[Method, ...] = ("redirect", "ascent")
CONCEPTS: dict[Kind, tuple[str, ...]] = {
    "object": ("balloon", "house", "teapot"),
    "character": ("pogo", "zumi", "tamu"),
    "person": ("mira", "otto", "lena"),
    "style": ("dottie", "neonix", "aquarine"),
    "motion": ("bouncing", "spinning", "growing"),
}
SHARES = (
    "forgotten",
    "base shows",
    "same kind",
    "same kind, base",
    "other kinds",
    "other kinds, base",
)


def few_shots(shop: Workshop, concept: str, kind: Kind) -> Frames:
    """Four stills by the base, or for a motion four clips."""
    requests = few_shot_requests(
        concept, kind, limits=shop.backbone.limits, book=shop.backbone.prompts
    )
    return few_shots_of(shop.make(requests, f"{concept}: few shots"), kind)


def new_encoder(
    shop: Workshop, images: Frames, concept: str, kind: Kind, settings: UnlearnSettings
) -> tuple[Encoder, float]:
    """The encoder, published in the workshop's store, and the seconds its optimisation took."""
    name = f"{settings.method}-{concept}"
    task = UnlearnTask(concept, kind, images, settings=settings, encoder_id=name)
    began = perf_counter()
    run = unlearn(task, shop.backbone)
    for _ in run:
        pass
    seconds = perf_counter() - began
    shop.store.publish(run.encoder)
    return run.encoder, seconds


def counts(
    shop: Workshop, encoder: Encoder, base_clips: dict[str, Frames], targets: int, retained: int
) -> dict[str, list[bool]]:
    """What the judge says of each clip, by share; `base_clips` is filled and used again."""
    card = encoder.card
    plan = judging_plan(
        card.concept,
        card.kind,
        encoder=(card.id, card.digest),
        judge=shop.judge,
        book=shop.backbone.prompts,
        limits=shop.backbone.limits,
        targets=targets,
        retained=retained,
        videos=max(targets, retained),
    )
    wanted = [p.base for p in plan.probes if str(p.base) not in base_clips]
    for request, clip in zip(wanted, shop.make(wanted, f"{card.id}: base"), strict=True):
        base_clips[str(request)] = clip
    made = shop.make([p.encoder for p in plan.probes], f"{card.id}: encoder")
    outcome: dict[str, list[bool]] = {share: [] for share in SHARES}
    for probe, clip in zip(plan.probes, made, strict=True):
        shown = shop.judge.shows(clip, probe.concept, probe.kind)
        shown_by_base = shop.judge.shows(base_clips[str(probe.base)], probe.concept, probe.kind)
        if probe.is_target:
            outcome["forgotten"].append(not any_frame(shown))
            outcome["base shows"].append(any_frame(shown_by_base))
        else:
            share = "same kind" if probe.same_kind else "other kinds"
            outcome[share].append(most_frames(shown))
            outcome[f"{share}, base"].append(most_frames(shown_by_base))
    return outcome


def pooled(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The shares over several encoders, and their mean seconds."""
    figures: dict[str, Any] = {
        share: rate(
            sum(sum(e["outcome"][share]) for e in entries),
            sum(len(e["outcome"][share]) for e in entries),
        )
        for share in SHARES
    }
    return {**figures, "seconds": round(float(np.mean([e["seconds"] for e in entries])), 2)}


def main(
    targets: Annotated[int, typer.Option(help="Clips that ask for the concept.")] = 8,
    retained: Annotated[int, typer.Option(help="Clips that ask for others.")] = 12,
    work: Annotated[Path, typer.Option(help="Where finished encoders' counts are kept.")] = Path(
        ".work/bench-methods"
    ),
) -> None:
    """Measure both methods and write `benchmarks/results/methods.json`."""
    work.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    mark = weights_mark()
    with workshop() as shop:
        for kind, concepts in CONCEPTS.items():
            for concept in concepts:
                base_clips: dict[str, Frames] = {}
                images: Frames | None = None
                for method in METHODS:
                    settings = UnlearnSettings(method=method).resolved(kind)
                    done = work / f"{mark}-{targets}-{retained}-{method}-{concept}.json"
                    if (
                        done.exists()
                        and json.loads(done.read_text())["settings"] == settings.to_json()
                    ):
                        entries.append(json.loads(done.read_text()))
                        continue
                    if images is None:
                        images = few_shots(shop, concept, kind)
                    encoder, seconds = new_encoder(shop, images, concept, kind, settings)
                    entry = {
                        "method": method,
                        "kind": kind,
                        "concept": concept,
                        "settings": settings.to_json(),
                        "seconds": seconds,
                        "outcome": counts(shop, encoder, base_clips, targets, retained),
                    }
                    done.write_text(json.dumps(entry))
                    entries.append(entry)
    figures = {
        f"{method}, {kind}": pooled(
            [e for e in entries if e["method"] == method and kind in (e["kind"], "all")]
        )
        for method in METHODS
        for kind in (*CONCEPTS, "all")
    }
    columns = ["", "forgotten (UA)", "base shows", "same kind (IRA)", "base", "other kinds (CRA)"]
    rows = [
        [
            name,
            *(percent(f[share]) for share in SHARES),
            f"{f['seconds']:.1f}",
        ]
        for name, f in figures.items()
    ]
    show("Both methods, on video", [*columns, "base", "seconds"], rows)
    per_concept = {f"{e['method']}, {e['kind']}: {e['concept']}": pooled([e]) for e in entries}
    write("methods", {"pooled": figures, "concepts": per_concept})


if __name__ == "__main__":
    typer.run(main)
