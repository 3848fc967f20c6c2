"""Distillation of the built-in text encoder into a sibling: a resumable training on one thread.

The loss is the mean square of the difference from the embedding to give, divided by the variance of
those embeddings: the share of the variance that is left. Matrices of the layers are trained by Muon
(Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982), which takes about a third of AdamW's steps
here, everything else by AdamW. Most batches are cut to the longest of their captions.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon
from transformers import PreTrainedModel

from benchmarks.siblings.lessons import Lesson, Teacher
from benchmarks.siblings.plan import Plan
from encoders.atomic_files import rename_synced
from starter.train.loop import mixed_precision

CHECKPOINT_SECONDS = 120.0
HELD_OUT = (9, 0)
"""Seed of the captions that the result is measured on."""
HELD_OUT_COUNT = 256


def distil(
    encoder: PreTrainedModel,
    teacher: Teacher,
    plan: Plan,
    work: Path,
    *,
    stop_at: int | None = None,
) -> float:
    """Train a sibling's text encoder in place; continue from the last checkpoint.

    Args:
        encoder: At its start. Whatever it was, a checkpoint replaces it.
        teacher: Draws the captions and their embeddings.
        plan: Length and rates. The batch of a step depends on its number alone.
        work: Folder of the checkpoint.
        stop_at: Step to stop at, with a checkpoint; None: the plan's last.

    Returns:
        The share of the variance that is left on held-out captions.
    """
    optimisers = _optimisers(encoder, plan)
    path = work / "checkpoint.pt"
    step = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        encoder.load_state_dict(state["encoder"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step = int(state["step"])
    held_out = teacher.lesson(HELD_OUT, HELD_OUT_COUNT, whole=True)
    variance = _variance(held_out)
    encoder.train()

    def checkpoint() -> None:
        state = {
            "encoder": encoder.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "step": step,
        }
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        rename_synced(draft, path)

    saved_at = time.monotonic()
    while step < (plan.steps if stop_at is None else stop_at):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["full_lr"] * plan.share(step)
        lesson = teacher.lesson((1, step), plan.batch, whole=step % plan.whole_every == 0)
        loss = _difference(encoder, lesson) / variance
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            checkpoint()
            saved_at = time.monotonic()
            left = _left(encoder, held_out) / variance
            print(f"{step}/{plan.steps} loss {loss.item():.4f} left {left:.4f}", flush=True)
    checkpoint()
    encoder.eval()
    return _left(encoder, held_out) / variance


def _optimisers(encoder: PreTrainedModel, plan: Plan) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of layers, and AdamW for everything else."""
    parameters = dict(encoder.named_parameters())
    matrices = {
        name
        for name, parameter in parameters.items()
        if parameter.ndim == 2
        and not any(part in name for part in ("embedding", "shared", "relative_attention_bias"))
    }
    optimisers: list[torch.optim.Optimizer] = [
        Muon(
            [parameters[name] for name in parameters if name in matrices],
            lr=plan.matrix_rate,
            weight_decay=0.0,
            adjust_lr_fn="match_rms_adamw",
        ),
        AdamW(
            [parameters[name] for name in parameters if name not in matrices],
            lr=plan.rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
        ),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group.setdefault("full_lr", group["lr"])
    return optimisers


def _difference(encoder: PreTrainedModel, lesson: Lesson) -> Tensor:
    """Return the mean square of the difference from the embeddings to give."""
    model: Any = encoder
    mask = None if lesson.counts.all() else lesson.counts.long()
    with mixed_precision():
        given: Tensor = model(input_ids=lesson.ids, attention_mask=mask).last_hidden_state
    return (given.float() - lesson.targets)[lesson.counts].square().mean()


@torch.no_grad()
def _left(encoder: PreTrainedModel, lesson: Lesson) -> float:
    return float(_difference(encoder, lesson))


def _variance(lesson: Lesson) -> float:
    """Return the variance of the embeddings to give, about the mean of each row."""
    counts = lesson.counts.unsqueeze(2)
    of_row = counts.sum(0).clamp(min=1)
    mean = (lesson.targets * counts).sum(0) / of_row
    return float((lesson.targets - mean)[lesson.counts].square().mean())
