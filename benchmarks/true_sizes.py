"""Seconds and memory at the sizes of Stable Diffusion 1.5 and AnimateDiff, on a GPU.

`make bench-true-sizes`. The weights are random: seconds and bytes depend on shapes only. Such a
model shows no concept, so forgetting is not judged. Each method runs for its default number of
steps, and the published procedure for its own ten (Fuchi & Takagi's code, as `ascent` follows it).
Figures are of a second run, when kernels are chosen and memory is allocated; the first run's
seconds are given too.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar

import torch
import typer
from transformers import CLIPTokenizer

from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import encoder_of
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.harness import WEIGHTS
from benchmarks.results import show, write
from benchmarks.true_models import MODELS
from encoders import Concept, Kind
from encoders.text_encoder import TextEncoder
from unlearn import UnlearnSettings
from unlearn.few_shots import few_shot_requests
from video.capabilities import Capabilities
from video.frames import Frames
from video.models.backbone import Backbone, BackboneParts
from video.models.native import NativeBackbone
from video.models.placement import Placement
from video.models.prompt_book import read_prompts
from video.models.tokens import Tokens

T = TypeVar("T")
CONCEPT = Concept(name="pogo", kind="character")
PUBLISHED = UnlearnSettings(method="ascent", steps=10, learning_rate=1e-5)
METHODS: Mapping[str, UnlearnSettings] = {
    "redirect": UnlearnSettings(),
    "redirect, no adversary": UnlearnSettings(adversary_weight=0),
    "ascent, ten steps": PUBLISHED,
}
CLIP_FRAMES, STEPS, GUIDANCE = 16, 25, 7.5
EMBEDDINGS = 100
"""Number of prompts embedded for one figure."""


def main() -> None:
    """Write `benchmarks/results/true-sizes.json`."""
    if not torch.cuda.is_available():
        raise SystemExit("True sizes are measured on a GPU, and torch sees none here.")
    write("true-sizes", measure(stable_diffusion("cuda")))


def stable_diffusion(device: str) -> Backbone:
    """Make Stable Diffusion 1.5 with AnimateDiff's motion modules v1.5.2 and random weights.

    Tokenizer and prompts are the built-in model's.
    """
    model = MODELS["SD 1.5 + AnimateDiff"]
    with torch.device(device):
        text_encoder: Any = model.text_encoder()
        video, image = model.denoisers(Placement(device))
    assert image is not None
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    parts = BackboneParts(
        name="stable diffusion 1.5 and animatediff, random weights",
        tokens=Tokens(tokenizer, model.prompt_tokens),
        text_encoder=TextEncoder(text_encoder),
        capabilities=Capabilities(
            native_width=512,
            native_height=512,
            frames_max=32,
            frames_default=CLIP_FRAMES,
            steps_default=STEPS,
            guidance_default=GUIDANCE,
        ),
        prompts=read_prompts(WEIGHTS),
    )
    return NativeBackbone(parts, video=video, image=image)


def measure(backbone: Backbone, methods: Mapping[str, UnlearnSettings] = METHODS) -> dict[str, Any]:
    """Measure few-shot images, making an encoder by each method, a clip, and embedding a prompt."""
    requests = few_shot_requests(
        CONCEPT.name, CONCEPT.kind, capabilities=backbone.capabilities, book=backbone.prompts
    )
    shots = [SampleRequest(request.prompt, request.seed) for request in requests]
    images, pictures = measured(lambda: sample(backbone, shots, is_video=False))
    stills = torch.cat([torch.from_numpy(one) for one in pictures]).numpy()
    found: dict[str, Any] = {"weights": _gib(backbone), "few-shot images": images, "making": {}}
    overrides: Mapping[str, torch.Tensor] = {}
    for name, settings in methods.items():
        given = (stills,) if settings.method_spec.can_learn_from_images else ()
        short = _making(backbone, settings.with_(steps=3), given)
        one, made = measured(_making(backbone, settings, given), short)
        overrides = made.overrides or {}
        steps = settings.schedule().steps
        found["making"][name] = {**one, "steps": steps, "a step": one["seconds"] / steps}
    clip, _ = measured(lambda: sample(backbone, shots[:1], is_video=True))
    found["clip"] = {**clip, "frames": CLIP_FRAMES, "steps": STEPS}
    resident = {name: tensor.to(backbone.device) for name, tensor in overrides.items()}
    found["embedding a prompt"] = {
        name: measured(lambda laid=laid: _embed(backbone, laid))[0]["seconds"] / EMBEDDINGS
        for name, laid in (("base", {}), ("encoder", resident))
    }
    _show(found)
    return found


def measured(
    action: Callable[[], T], first: Callable[[], object] | None = None
) -> tuple[dict[str, Any], T]:
    """Run an action twice; return the second run's seconds and peak memory, and its result.

    Args:
        action: the action.
        first: a shorter action that replaces the first run; None: `action`.
    """
    before = _clock(first or action)[0]
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds, result = _clock(action)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {"seconds": seconds, "first": before, "peak GiB": round(peak / 2**30, 2)}, result


def _clock(action: Callable[[], T]) -> tuple[float, T]:
    _synchronize()
    began = perf_counter()
    result = action()
    _synchronize()
    return round(perf_counter() - began, 4), result


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _making(
    backbone: Backbone, settings: UnlearnSettings, images: Sequence[Frames]
) -> Callable[[], Intervention]:
    named: list[tuple[str, Kind]] = [(CONCEPT.name, CONCEPT.kind)]
    return lambda: encoder_of(backbone, settings, named, images)


@torch.no_grad()
def _embed(backbone: Backbone, overrides: Mapping[str, torch.Tensor]) -> None:
    tokens = backbone.tokenize(["a picture of pogo at night"])
    for _ in range(EMBEDDINGS):
        backbone.text_encoder.encode(tokens, overrides)


def _gib(backbone: Backbone) -> dict[str, Any]:
    if backbone.device.type != "cuda":
        return {}
    return {
        "GiB": round(torch.cuda.memory_allocated() / 2**30, 2),
        "dtype": str(backbone.dtype),
    }


def _show(found: Mapping[str, Any]) -> None:
    timed = {
        "few-shot images": found["few-shot images"],
        **found["making"],
        f"a clip of {CLIP_FRAMES} frames": found["clip"],
    }
    show(
        "At the sizes of Stable Diffusion 1.5",
        ("", "seconds", "the first time", "peak GiB"),
        [
            [name, str(one["seconds"]), str(one["first"]), str(one["peak GiB"])]
            for name, one in timed.items()
        ],
    )
    print({name: f"{1e3 * one:.2f} ms" for name, one in found["embedding a prompt"].items()})


if __name__ == "__main__":
    typer.run(main)
