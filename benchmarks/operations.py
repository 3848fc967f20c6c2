"""Floating-point operations of making an encoder at the sizes of Stable Diffusion 1.5, counted.

`make bench-operations`, on a CPU, in a quarter of an hour. For a machine without a GPU this is what
can be said of goal S5 there: operations by count, steps by setting. Seconds are measured by
`make bench-gpu`. Weights are random: operations depend on shapes only. Those of few-shot images are
those of one still, without its decoding, times their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.results import show, write
from benchmarks.true_sizes import CONCEPT, METHODS, STEPS, stable_diffusion
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.few_shots import few_shot_requests
from unlearn.methods.inversion import STEP_EVERY
from video.frames import Frames
from video.models.backbone import Backbone
from video.models.native import DenoisingState, denoise_step


def main(threads: int = 2) -> None:
    """Write `benchmarks/results/operations.json`."""
    torch.set_num_threads(threads)
    write("operations", count(stable_diffusion("cpu")))


def count(backbone: Backbone, methods: Mapping[str, UnlearnSettings] = METHODS) -> dict[str, Any]:
    """Count the operations of each method, and those of the images that a method learns from."""
    requests = few_shot_requests(
        CONCEPT.name, CONCEPT.kind, capabilities=backbone.capabilities, book=backbone.prompts
    )
    images = len(requests) * of_still(backbone)
    found: dict[str, Any] = {"few-shot images": images, "making": {}}
    capabilities = backbone.capabilities
    size = (len(requests), capabilities.native_height, capabilities.native_width, 3)
    grey = np.full(size, 128, np.uint8)
    for name, settings in methods.items():
        learns = settings.method_spec.can_learn_from_images
        one = of_method(backbone, settings, (grey,) if learns else ())
        one["with its images"] = one["whole"] + (images if learns else 0)
        found["making"][name] = one
        print(f"{name}: {one}", flush=True)
    _show(found)
    return found


def of_method(
    backbone: Backbone, settings: UnlearnSettings, images: Sequence[Frames]
) -> dict[str, Any]:
    """Count the operations of a run: what comes before and after the steps, and a step.

    A short run is counted. All steps of a run have the same shapes, but every few of them learn
    from pictures too: the first, and the last one that is counted.
    """
    task = UnlearnTask((CONCEPT,), settings.with_(steps=1 + STEP_EVERY), tuple(images))
    run = unlearn(task, backbone)
    first, *cycle, last = (operations(partial(next, run, None)) for _ in range(2 + STEP_EVERY))
    step = sum(cycle) // STEP_EVERY
    steps = settings.schedule().steps
    return {
        "before": first - cycle[-1],
        "a step": step,
        "steps": steps,
        "after": last,
        "whole": first - cycle[-1] + steps * step + last,
    }


@torch.no_grad()
def of_still(backbone: Backbone) -> int:
    """Count the operations of a few-shot image's denoising: one step, times the steps."""
    [request, *_] = few_shot_requests(
        CONCEPT.name, CONCEPT.kind, capabilities=backbone.capabilities, book=backbone.prompts
    )
    embedding = backbone.embed(["", request.prompt], is_video=False)
    state = DenoisingState(request, backbone.denoiser(is_video=False), embedding)
    return STEPS * operations(lambda: denoise_step([state]))


def operations(action: Callable[[], object]) -> int:
    """Return the floating-point operations of an action: two for a multiplication and addition."""
    with FlopCounterMode(display=False) as counter:
        action()
    return int(counter.get_total_flops())


def _show(found: Mapping[str, Any]) -> None:
    columns = ("before", "a step", "steps", "after", "whole", "with its images")
    lines = [
        [name, *(str(one[c]) if c == "steps" else f"{one[c] / 1e12:.2f}" for c in columns)]
        for name, one in found["making"].items()
    ]
    show("Operations at the sizes of Stable Diffusion 1.5, in 10¹²", ("", *columns), lines)


if __name__ == "__main__":
    typer.run(main)
