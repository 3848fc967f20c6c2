"""What an attacker has, what it is after, and what it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.sampling import SampleRequest, sample
from encoders import Kind
from unlearn.few_shots import few_shot_prompts, few_shots_of
from unlearn.prompts import held_out_prompts
from video.frames import Frames
from video.models.backbone import Backbone

IMAGES, CLIPS = 8, 4
"""What an attacker has of the concept: a still for each sentence a subject has, or a few clips."""

FIRST_SEED = 50_000
"""Of the attacker's pictures: far from those an encoder is made from and judged on."""


@dataclass(frozen=True)
class Target:
    """What an attacker wants back, and pictures of it from a model that still shows it.

    `images[i]` shows what the i-th of `few_shot_prompts` says: (N,H,W,3), for a motion clips
    (N,F,H,W,3). `names` are the phrases the concept can be asked for by, its own name first
    (`unlearn.prompts.all_names`). The same seed finds the same attack.
    """

    concept: str
    kind: Kind
    names: Sequence[str]
    images: Frames
    seed: int = 0

    @property
    def is_video(self) -> bool:
        """Whether it takes clips to show it."""
        return self.kind == "motion"


@dataclass(frozen=True)
class Attack:
    """What an attacker found. Its success is the share of pictures that show the concept, of
    `sample(backbone, shots, is_video=…, intervention=attack.model)` over `prompts` and seeds.
    """

    name: str
    prompts: tuple[str, ...]
    """Sentences that neither the unlearning nor the attack has used."""
    model: Intervention
    """The attacked model; with the attacker's row in its token embedding if the attack is one on
    embeddings."""
    loss_before: float
    loss_after: float
    """Diffusion loss of the attacker's pictures (`PicturesLoss.compared`)."""
    seconds: float


def pictures_of(backbone: Backbone, concept: str, kind: Kind) -> Frames:
    """A target's images: by the base model, one for each of `few_shot_prompts`."""
    is_video = kind == "motion"
    count = CLIPS if is_video else IMAGES
    prompts = few_shot_prompts(concept, kind, count, book=backbone.prompts)
    shots = [SampleRequest(prompt, FIRST_SEED + i) for i, prompt in enumerate(prompts)]
    return few_shots_of(sample(backbone, shots, is_video=is_video), kind)


def captions_of(target: Target, names: Sequence[str], backbone: Backbone) -> list[str]:
    """What the target's images show in words, one prompt an image, under the names in turn."""
    count = len(target.images)
    return [
        few_shot_prompts(names[i % len(names)], target.kind, count, book=backbone.prompts)[i]
        for i in range(count)
    ]


def prompts_for(target: Target, names: Sequence[str], backbone: Backbone) -> list[str]:
    """Held-out sentences that ask for the concept, each under all the names."""
    lists = [held_out_prompts(name, target.kind, book=backbone.prompts) for name in names]
    return list(chain.from_iterable(zip(*lists, strict=True)))
