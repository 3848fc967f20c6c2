"""The cost of composing encoders, and the bytes of one: goals S10 and S6."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import WEIGHTS
from benchmarks.results import ratio
from benchmarks.serving.encoders import clip_vit_l, random_factors
from benchmarks.serving.scenario import Scenario, prompt
from benchmarks.true_models import MODELS
from encoders import Concept, low_rank
from encoders.composition import Member
from encoders.text_encoder import TextEncoder
from encoders.trigger import ConceptTrigger, Trigger
from unlearn.methods.calibration import DIRECTIONS
from video import GenerationRequest, load_backbone
from video.models.backbone import Backbone
from video.models.placement import Placement

COUNTS = (1, 6, 24)
THRESHOLD = 0.1
STEPS, GUIDANCE = 25, 7.5
"""Of a request at true sizes."""


def composing(scenario: Scenario) -> dict[str, Any]:
    """Measure S10 on the built-in model and count it at true sizes; compute S6 for both."""
    backbone = load_backbone(WEIGHTS)
    found = seconds(backbone, COUNTS, scenario.sizes.pairs, scenario.sizes.repeats)
    return {**found, "SD 1.5 + AnimateDiff": operations(COUNTS), **sizes(backbone.text_encoder)}


def members_of(text_encoder: TextEncoder, count: int) -> list[Member]:
    """Make random encoders, as members of a set."""
    size = text_encoder.encode(torch.zeros((1, 1), dtype=torch.int64)).shape[2]
    directions = torch.randn(DIRECTIONS, size, generator=torch.Generator().manual_seed(0))
    trigger = Trigger(concepts=(ConceptTrigger.of(directions, THRESHOLD),)).detector()
    return [
        Member(
            f"sha256:{number:064x}",
            random_factors(text_encoder, number),
            trigger,
            (Concept(name=f"concept {number}", kind="object"),),
        )
        for number in range(count)
    ]


def seconds(backbone: Backbone, counts: Sequence[int], prompts: int, clips: int) -> dict[str, Any]:
    """Measure S10: seconds of a request with several encoders ÷ with one.

    A request encodes its prompt, takes its steps and decodes its frames. Only the first part
    depends on the encoders, so the others are timed on fewer requests, and their mean is added.
    Every prompt is new: nothing comes from the cache but the empty prompt.

    Args:
        backbone: The model.
        counts: Numbers of encoders; the first is 1.
        prompts: Prompts encoded for each number, which take turns.
        clips: Clips made.
    """
    members = members_of(backbone.text_encoder, max(counts))
    taken: dict[int, list[float]] = {count: [] for count in counts}
    rest: list[float] = []
    with torch.no_grad():
        for number in range((prompts + 1) * len(counts)):
            count = counts[number % len(counts)]
            began = perf_counter()
            encoder = backbone.prompt_encoder(members[:count])
            state = backbone.begin(_request(backbone, number), encoder)
            if number >= len(counts):  # the first turn warms up
                taken[count].append(perf_counter() - began)
            if number < clips:
                began = perf_counter()
                for _ in range(state.steps):
                    backbone.step([state])
                state.decode()
                rest.append(perf_counter() - began)
    others = sum(rest) / len(rest)
    whole = {count: [one + others for one in each] for count, each in taken.items()}
    return {
        "seconds of encoding": {str(count): ratio(each) for count, each in taken.items()},
        "seconds of steps and frames": ratio(rest),
        **{
            f"S10: {count} encoders ÷ one": ratio(whole[count], whole[counts[0]])
            for count in counts
        },
    }


def _request(backbone: Backbone, number: int) -> GenerationRequest:
    capabilities = backbone.capabilities
    return GenerationRequest(
        prompt(number),
        seed=number,
        steps=capabilities.steps_default,
        guidance=capabilities.guidance_default,
        frames=capabilities.frames_default,
    )


def operations(counts: Sequence[int]) -> dict[str, Any]:
    """Count S10 at true sizes, in floating-point operations of a clip and of a still.

    A request encodes the prompt and the empty prompt, by the base and by every member, and takes
    its steps twice, with and without the prompt.
    """
    model = MODELS["SD 1.5 + AnimateDiff"]
    with torch.device("meta"):
        text_encoder: Any = model.text_encoder()
        video, image = model.denoisers(Placement("meta"))
        assert image is not None
        with torch.no_grad():
            tokens = torch.zeros(1, model.prompt_tokens, dtype=torch.int64)
            encoding = _operations(lambda: text_encoder(tokens))
            width = text_encoder.config.hidden_size
            embedding = torch.zeros(1, model.prompt_tokens, width)
            denoising = {
                name: _operations(
                    lambda one=one, frames=frames: one.predict(
                        one.noise(0, frames).to("meta"), torch.zeros(1), embedding
                    )
                )
                for name, one, frames in (("clip", video, model.frames), ("still", image, None))
            }
    matrices = low_rank_operations(clip_vit_l())
    found: dict[str, Any] = {"encoding a prompt": encoding, "forming a member": matrices}
    for name, step in denoising.items():
        whole = {
            count: 2 * (encoding + count * (encoding + matrices)) + 2 * STEPS * step
            for count in counts
        }
        found[name] = {
            "a step": step,
            **{f"{count} encoders ÷ one": round(whole[count] / whole[1], 5) for count in counts},
        }
    return found


def sizes(starter: TextEncoder) -> dict[str, Any]:
    """Measure S6: bytes of an encoder's file ÷ its base's, at the default settings, in float16."""
    return {
        f"S6: {name}": round(_bytes(random_factors(one, 0)) / _bytes(one.parameters()), 5)
        for name, one in (("starter", starter), ("CLIP ViT-L/14", clip_vit_l()))
    }


def low_rank_operations(text_encoder: TextEncoder) -> int:
    """Count the operations of W + B·A over all matrices that are trained by default."""
    factors = random_factors(text_encoder, 0)
    return sum(
        2 * tensor.shape[0] * (text_encoder.shapes[low_rank.parameter_of(name)].numel())
        for name, tensor in factors.items()
        if name.endswith(low_rank.A)
    )


def _operations(action: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return len(save({name: tensor.half().contiguous() for name, tensor in tensors.items()}))
