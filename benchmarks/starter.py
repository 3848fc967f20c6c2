"""Quality of the built-in model: `make bench-starter`.

Measures the judge's accuracy on held-out renders; the share of the base model's clips that show the
concept (goal F1) and the motion that the prompt names; and the flicker outside the moving subject,
compared with rendered clips of the same scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness import Harness, harness
from benchmarks.results import RESULTS, mean_text, rate, rate_text, ratio, show, write
from encoders import Kind
from starter.captions import MOTION_WORDS, PLACE_WORDS, STYLE_WORDS, SUBJECT_WORDS, compose
from starter.motions import MOTIONS
from starter.scene import KIND_OF, SUBJECTS, Scene, sample_scene
from starter.styles import STYLES
from starter.train.judge import accuracy
from unlearn.trial.probes import any_frame, most_frames
from video.generation_request import GenerationRequest

MOVED = 24  # of 255: a larger change from one frame to the next is the subject's motion
MARGIN = 2  # pixels around the motion that are left out too
REDRAWN = "rendered, redrawn by the decoder"


@dataclass(frozen=True)
class ClipCase:
    """A clip to make by the base model: its concept, its scene and its request."""

    kind: Kind
    concept: str
    scene: Scene
    request: GenerationRequest


def cases(harness: Harness, clips: int, guidance: float | None = None) -> list[ClipCase]:
    """Return `clips` cases for each concept except motions; all six motions take turns in them."""
    rng = np.random.default_rng(2_026)
    capabilities = harness.backbone.capabilities
    guidance = guidance or capabilities.guidance_default
    concepts: list[tuple[Kind, str]] = [(KIND_OF[name], name) for name in SUBJECTS]
    concepts.extend(("style", name) for name in STYLES)
    found: list[ClipCase] = []
    for kind, concept in concepts:
        for _ in range(clips):
            motion = MOTIONS[len(found) % len(MOTIONS)]
            subject = str(rng.choice(SUBJECTS)) if kind == "style" else concept
            style = concept if kind == "style" else "plain"
            scene = sample_scene(rng, subjects=[subject], styles=[style], motions=[motion])
            artist = "" if style == "plain" else STYLE_WORDS[style][0]
            prompt = compose(
                "{s}{m}{p}{a}",
                SUBJECT_WORDS[subject][0],
                MOTION_WORDS[motion][0],
                PLACE_WORDS[scene.background][0],
                artist,
            )
            request = GenerationRequest(
                prompt,
                seed=len(found),
                steps=capabilities.steps_default,
                guidance=guidance,
                frames=capabilities.frames_default,
            )
            found.append(ClipCase(kind, concept, scene, request))
    return found


def stillness(clip: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the mean change between frames where nothing moves (of 255), and the share that moves.

    Args:
        clip: frames (F,H,W,3). If every pixel moves, the mean is over all of them.
    """
    change = np.abs(np.diff(clip.astype(np.int16), axis=0)).max(axis=3)
    moving = change > MOVED
    padded = np.pad(moving, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    reach = 2 * MARGIN + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (reach, reach), axis=(1, 2))
    moving = windows.any(axis=(3, 4))
    still = change if moving.all() else change[~moving]
    return float(still.mean()), float(moving.mean())


def redrawn(harness: Harness, clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encode and decode a rendered clip: the autoencoder's share of the flicker."""
    denoiser = harness.backbone.denoiser(is_video=True)
    return denoiser.decode(denoiser.encode(clip[None]))


def judge_figures(harness: Harness, count: int) -> dict[str, Any]:
    """Return the judge's accuracy on held-out renders, as drawn and roughened."""
    rng = np.random.default_rng(12_345)
    scenes = [sample_scene(rng) for _ in range(count)]
    torch.manual_seed(12_345)  # of the noise in degraded frames
    figures: dict[str, Any] = {}
    for head in ("subject", "style", "motion"):
        for rough in (False, True):
            some = scenes[: max(1, count // 3)] if head == "motion" else scenes
            right = accuracy(harness.judge, some, head, rough)
            name = f"{head}, {'roughened' if rough else 'as drawn'}"
            figures[name] = rate(sum(right), len(right))
    return figures


def sheet(found: list[ClipCase], clips: list[NDArray[np.uint8]]) -> Image.Image:
    """Draw one row for each concept: the frames of one of its clips, with motions in turn."""
    rows: dict[str, list[NDArray[np.uint8]]] = {}
    for case, clip in zip(found, clips, strict=True):
        rows.setdefault(case.concept, []).append(np.concatenate(list(clip), axis=1))
    chosen = [made[i % len(made)] for i, made in enumerate(rows.values())]
    return Image.fromarray(np.concatenate(chosen, axis=0))


def main(
    clips: Annotated[int, typer.Option(help="Clips a concept.")] = 12,
    renders: Annotated[int, typer.Option(help="Renders to try the judge on.")] = 1500,
    guidance: Annotated[float | None, typer.Option(help="If not the model's own.")] = None,
) -> None:
    """Measure the built-in model; write `benchmarks/results/starter.json` and `.png`.

    With `--guidance 3.5`, the files are called `starter-guidance-3.5`.
    """
    file = "starter" if guidance is None else f"starter-guidance-{guidance:g}"
    with harness() as running:
        judged = judge_figures(running, renders)
        found = cases(running, clips, guidance)
        began = perf_counter()
        made = running.generate([case.request for case in found], f"{len(found)} clips")
        seconds = (perf_counter() - began) / len(found)
        seen: dict[str, list[tuple[bool, float]]] = {}
        moved: dict[str, list[bool]] = {}
        for case, clip in zip(found, made, strict=True):
            shown = running.judge.shows(clip, case.concept, case.kind)
            entry = (any_frame(shown), float(np.mean(shown)))
            for name in (case.kind, f"{case.kind}: {case.concept}", "all"):
                seen.setdefault(name, []).append(entry)
            motion = case.scene.motion
            moved.setdefault(motion, []).append(
                most_frames(running.judge.shows(clip, motion, "motion"))
            )
        rendered = [case.scene.clip() for case in found]
        changes = {
            "generated": [stillness(clip) for clip in made],
            REDRAWN: [stillness(redrawn(running, clip)) for clip in rendered],
            "rendered": [stillness(clip) for clip in rendered],
        }
    concept_figures: dict[str, dict[str, Any]] = {
        name: {
            "any_frame": rate(sum(e[0] for e in entries), len(entries)),
            "per_frame": ratio([e[1] for e in entries]),
        }
        for name, entries in seen.items()
    }
    motion_figures = {name: rate(sum(m), len(m)) for name, m in moved.items()}
    drawn = [change for change, _ in changes[REDRAWN]]
    still_figures: dict[str, dict[str, Any]] = {
        name: {
            "change": ratio([change for change, _ in values]),
            "to_redrawn": ratio([change for change, _ in values], drawn),
            "moving": ratio([moving for _, moving in values]),
        }
        for name, values in changes.items()
    }
    show(
        "The judge on held-out renders",
        ["", "right"],
        [[k, rate_text(v)] for k, v in judged.items()],
    )
    show(
        "The named concept is seen (F1: any frame ≥ 97 %, per frame ≥ 95 %)",
        ["", "in any frame", "per frame"],
        [
            [name, rate_text(f["any_frame"]), mean_text(f["per_frame"], 100) + " %"]
            for name, f in concept_figures.items()
        ],
    )
    show(
        "The named motion is seen (≥ 90 %)",
        ["", ""],
        [[k, rate_text(v)] for k, v in motion_figures.items()],
    )
    show(
        "Change from frame to frame outside the subject, of 255 (≤ 1.5 × rendered and redrawn)",
        ["", "change", "÷ redrawn", "share of the picture that moves, %"],
        [
            [k, mean_text(v["change"]), mean_text(v["to_redrawn"]), mean_text(v["moving"], 100)]
            for k, v in still_figures.items()
        ],
    )
    print(f"{seconds:.2f} s a clip, one after the other (≤ 6 s on two cores)")
    write(
        file,
        {
            "guidance": found[0].request.guidance,
            "judge": judged,
            "concepts": concept_figures,
            "motions": motion_figures,
            "stillness": still_figures,
            "seconds_a_clip": round(seconds, 2),
        },
    )
    sheet(found, made).quantize(256).save(RESULTS / f"{file}.png", optimize=True)


if __name__ == "__main__":
    typer.run(main)
