"""Training of the judge, on rendered ground truth alone, never on generated frames.

Renders are degraded to resemble generated frames: tinted, softened, noisy. A judge trained without
that misses styles under a tint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from starter.motions import MOTIONS
from starter.scene import DRAWINGS, Scene, sample_scene
from starter.styles import STYLES
from starter.train.autoencoder import to_tensor
from starter.train.loop import TrainingPlan, train
from unlearn.judges.classifier import ClassifierJudge, Head, JudgeConfig

STILLS, CLIPS = 16_000, 3_000
TRUTH: dict[Head, Callable[[Scene], str]] = {
    "subject": lambda scene: scene.subject,
    "style": lambda scene: scene.style,
    "motion": lambda scene: "still" if scene.subject == "nothing" else scene.motion,
}


def new_judge() -> ClassifierJudge:
    """Build an untrained judge for everything that has a name in the world."""
    labels = {kind: list(names) for kind, names in DRAWINGS.items()}
    return ClassifierJudge.untrained(
        JudgeConfig.model_validate(
            {"labels": {**labels, "style": list(STYLES), "motion": list(MOTIONS)}}
        )
    )


def truth(judge: ClassifierJudge, scenes: list[Scene], head: Head) -> Tensor:
    """Return the head's output index of each scene; nameless ones have the last, "neither"."""
    outputs = judge.config.outputs(head)
    words = [TRUTH[head](scene) for scene in scenes]
    return torch.tensor([outputs.index(w) if w in outputs else len(outputs) - 1 for w in words])


def degrade(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Tint, soften and add noise to frames (N, …, 3, H, W) in -1…1, each of the N differently.

    All frames of a clip are treated alike, except for the noise.
    """
    count = pixels.shape[0]
    shape = (count,) + (1,) * (pixels.ndim - 4) + (3, 1, 1)
    one = (count,) + (1,) * (pixels.ndim - 1)

    def drawn(low: float, high: float, size: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, size)).float()

    strength = drawn(0, 1, one)
    tinted = pixels * (1 + strength * drawn(-0.25, 0.25, shape)) + strength * drawn(
        -0.25, 0.25, shape
    )
    flat = tinted.flatten(0, -4)
    soft = F.avg_pool2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), 3, stride=1).view_as(tinted)
    mixed = torch.lerp(tinted, soft, drawn(0, 0.9, one))
    return (mixed + torch.randn_like(mixed) * drawn(0, 0.12, one)).clamp(-1, 1)


def train_judge(judge: ClassifierJudge, work: Path, frame_steps: int, motion_steps: int) -> None:
    """Train both networks, each on renders of its own."""
    rng = np.random.default_rng(71)
    scenes = [sample_scene(rng) for _ in range(STILLS)]
    stills = np.stack([scene.frame(rng.random()) for scene in scenes])
    subjects, styles = (truth(judge, scenes, head) for head in ("subject", "style"))
    frame_network = judge.frame_network.train().requires_grad_(True)

    def frame_loss(number: int) -> Tensor:
        draw = np.random.default_rng((72, number))
        chosen = draw.integers(STILLS, size=64)
        pixels = degrade(to_tensor(stills[chosen]), draw)
        moved = tuple(int(s) for s in draw.integers(-3, 4, size=2))
        subject, style = frame_network(torch.roll(pixels, moved, (2, 3)))
        index = torch.from_numpy(chosen)
        return F.cross_entropy(subject, subjects[index]) + F.cross_entropy(style, styles[index])

    plan = TrainingPlan(steps=frame_steps, learning_rate=2e-3, average=0.99, cooling=0.6)
    train("judge-frame", nn.ModuleDict({"net": frame_network}), frame_loss, plan, work)
    frame_network.eval()

    scenes = [sample_scene(rng) for _ in range(CLIPS)]
    clips = np.stack([scene.clip() for scene in scenes])
    motions = truth(judge, scenes, "motion")
    motion_network = judge.motion_network.train().requires_grad_(True)

    def motion_loss(number: int) -> Tensor:
        draw = np.random.default_rng((73, number))
        chosen = draw.integers(CLIPS, size=16)
        logits = motion_network(degrade(to_tensor(clips[chosen]), draw))
        return F.cross_entropy(logits, motions[torch.from_numpy(chosen)])

    plan = TrainingPlan(steps=motion_steps, learning_rate=2e-3, average=0.99, cooling=0.6)
    train("judge-motion", nn.ModuleDict({"net": motion_network}), motion_loss, plan, work)
    motion_network.eval()


def accuracy(judge: ClassifierJudge, scenes: list[Scene], head: Head, rough: bool) -> list[bool]:
    """Return for each scene if the judge reads it right: from a frame, or for motions a clip."""
    outputs = judge.config.outputs(head)
    rng = np.random.default_rng(79)
    right: list[bool] = []
    for scene in scenes:
        frames = scene.clip() if head == "motion" else scene.frame(rng.random())[None]
        if rough:
            pixels = degrade(to_tensor(frames)[None], rng)[0].movedim(-3, -1)
            frames = ((pixels + 1) * 127.5).round().byte().numpy()
        word = TRUTH[head](scene)
        right.append(judge.read(frames, head)[0] == (word if word in outputs else outputs[-1]))
    return right
