"""An attack's input, its target, and its result."""

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
"""Pictures of the concept that an attacker has: a still for each few-shot sentence, or clips."""

FIRST_SEED = 50_000
"""First seed of the attacker's pictures; no encoder is made from or judged on seeds near it."""


@dataclass(frozen=True)
class Target:
    """The concept that an attacker wants back, with pictures of it by the base model.

    `images[i]` shows the i-th of `few_shot_prompts`: stills (N,H,W,3), or clips (N,F,H,W,3), always
    for a motion. `names` are the phrases that name the concept, its own name first
    (`unlearn.prompts.all_names`). The same seed gives the same attack.
    """

    concept: str
    kind: Kind
    names: Sequence[str]
    images: Frames
    seed: int = 0

    @property
    def is_video(self) -> bool:
        """True if the pictures are clips."""
        return self.images.ndim == 5


@dataclass(frozen=True)
class Attack:
    """The result of an attack.

    Its success is the share of pictures that show the concept, among those that
    `sample(backbone, shots, is_video=…, intervention=attack.model)` makes from `prompts` and seeds.
    """

    name: str
    prompts: tuple[str, ...]
    """Sentences that neither the unlearning nor the attack has trained on."""
    model: Intervention
    """The attacked model; an attack on embeddings adds its row to the token embedding."""
    loss_before: float
    loss_after: float
    """Diffusion loss of the attacker's pictures after the attack (`PicturesLoss.compared`)."""
    seconds: float


def pictures_of(
    backbone: Backbone, concept: str, kind: Kind, *, is_video: bool | None = None
) -> Frames:
    """Make a target's images by the base model, one for each of `few_shot_prompts`.

    They are clips if `is_video`; None: if the concept is a motion.
    """
    is_video = kind == "motion" if is_video is None else is_video
    count = CLIPS if is_video else IMAGES
    prompts = few_shot_prompts(concept, kind, count, book=backbone.prompts)
    shots = [SampleRequest(prompt, FIRST_SEED + i) for i, prompt in enumerate(prompts)]
    return few_shots_of(sample(backbone, shots, is_video=is_video), "motion" if is_video else kind)


def captions_of(target: Target, names: Sequence[str], backbone: Backbone) -> list[str]:
    """Return the captions of the target's images, which use the names in turn."""
    count = len(target.images)
    return [
        few_shot_prompts(names[i % len(names)], target.kind, count, book=backbone.prompts)[i]
        for i in range(count)
    ]


def prompts_for(target: Target, names: Sequence[str], backbone: Backbone) -> list[str]:
    """Return held-out sentences that ask for the concept, each with every name."""
    lists = [held_out_prompts(name, target.kind, book=backbone.prompts) for name in names]
    return list(chain.from_iterable(zip(*lists, strict=True)))
