"""Stage 2: pre-training of the text encoder, which classifies the scene from its caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from starter.backgrounds import BACKGROUNDS
from starter.captions import caption
from starter.motions import MOTIONS
from starter.scene import NAMELESS, SUBJECTS, sample_scene
from starter.styles import STYLES
from starter.train.loop import TrainingPlan, mixed_precision, train

LABELS = {
    "subject": (*SUBJECTS, *NAMELESS),
    "style": ("plain", *STYLES),
    "motion": ("still", *MOTIONS),
    "background": BACKGROUNDS,
}


def tokens(tokenizer: Any, prompts: list[str]) -> Tensor:
    """Return token ids padded to the model's length, (n, 32)."""
    encoded = tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt")
    return encoded["input_ids"]


def train_text(encoder: CLIPTextModel, tokenizer: Any, work: Path, steps: int) -> None:
    """Classify each part of the scene from the output at the end of the sentence.

    The classifiers are dropped afterwards; stage 3 trains the encoder further, with the denoiser.
    """
    width = encoder.config.hidden_size
    heads = nn.ModuleDict({k: nn.Linear(width, len(v)) for k, v in LABELS.items()})

    def loss_of(draw: int) -> Tensor:
        rng = np.random.default_rng((21, draw))
        scenes = [sample_scene(rng) for _ in range(64)]
        ids = tokens(tokenizer, [caption(scene, rng) for scene in scenes])
        with mixed_precision():
            hidden = encoder(ids).last_hidden_state
        ends = hidden[torch.arange(len(scenes)), ids.eq(tokenizer.eos_token_id).int().argmax(1)]
        loss = torch.zeros(())
        for part, names in LABELS.items():
            truth = torch.tensor([names.index(getattr(scene, part)) for scene in scenes])
            loss = loss + F.cross_entropy(heads[part](ends.float()), truth)
        return loss

    modules = nn.ModuleDict({"text_encoder": encoder, "heads": heads})
    train(
        "text", modules, loss_of, TrainingPlan(steps=steps, learning_rate=1e-3, average=0.99), work
    )
