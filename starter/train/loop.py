"""A resumable training loop: AdamW, warm-up then cooling, weights averaged, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoders.atomic_files import rename_synced
from starter.train import data_parallel
from video.models.precision import best_dtype

CHECKPOINT_SECONDS = 180.0


@dataclass(frozen=True)
class TrainingPlan:
    """Length and learning rate of a stage's training."""

    steps: int
    learning_rate: float
    warmup: int = 100
    cooling: float = 0.35  # the last share of the steps, over which the rate falls to zero
    average: float = 0.999  # decay of the weights' running average
    weight_decay: float = 1e-2

    def rate(self, step: int) -> float:
        """Return a step's learning rate: linear warm-up, constant, then half a cosine to zero."""
        up = min(1.0, (step + 1) / self.warmup)
        left = (self.steps - step) / max(1, round(self.steps * self.cooling))
        down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))
        return self.learning_rate * up * down


def mixed_precision() -> torch.autocast:
    """Multiply in bfloat16 if the processor has it; emulated, it takes several times as long."""
    dtype = best_dtype("cpu")
    return torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)


class Average:
    """An exponential moving average of parameters that are being trained."""

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self._live = list(parameters)
        self._decay = decay
        self.tensors = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the parameters after a step; early steps decay sooner."""
        decay = min(self._decay, (step + 1) / (step + 10))
        for averaged, live in zip(self.tensors, self._live, strict=True):
            averaged.lerp_(live, 1 - decay)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Put the average in place of the trained parameters."""
        for live, averaged in zip(self._live, self.tensors, strict=True):
            live.copy_(averaged)


def train(
    name: str,
    modules: nn.ModuleDict,
    loss_of: Callable[[int], Tensor],
    plan: TrainingPlan,
    work: Path,
) -> None:
    """Train the parameters of `modules` that require gradients; resume from a checkpoint.

    At the end `modules` and `work/<name>.pt` have the averaged weights.

    Args:
        name: Name of the stage and of its files.
        modules: The modules to train.
        loss_of: Takes a seed, draws a batch and returns its loss. The seed depends on the step and
            the process alone, so that a resumed run sees the batches that an unbroken one would,
            and processes see different batches.
        plan: Length and learning rate.
        work: Folder of checkpoints and results.
    """
    parameters = [p for p in modules.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay
    )
    average = Average(parameters, plan.average)
    path = work / f"{name}.checkpoint.pt"
    step = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        modules.load_state_dict(state["modules"])
        optimiser.load_state_dict(state["optimiser"])
        for mine, saved in zip(average.tensors, state["average"], strict=True):
            mine.copy_(saved)
        step = int(state["step"])

    def checkpoint() -> None:
        if data_parallel.rank() != 0:
            return
        state = {
            "modules": modules.state_dict(),
            "optimiser": optimiser.state_dict(),
            "average": average.tensors,
            "step": step,
        }
        _save(state, path)

    saved_at = told_at = time.monotonic()
    told_step, running = step, 0.0
    while step < plan.steps:
        for group in optimiser.param_groups:
            group["lr"] = plan.rate(step)
        draw = step * data_parallel.processes() + data_parallel.rank()
        torch.manual_seed(draw)
        loss = loss_of(draw)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        data_parallel.average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        average.update(step)
        running = 0.98 * running + 0.02 * loss.item() if step > told_step + 1 else loss.item()
        now = time.monotonic()
        if step % 50 == 0 and data_parallel.rank() == 0:
            pace = (now - told_at) / max(1, step - told_step)
            print(f"{name} {step}/{plan.steps} loss {running:.4f} {pace:.2f} s/step", flush=True)
        if now - saved_at > CHECKPOINT_SECONDS:
            checkpoint()
            saved_at = now
    checkpoint()
    average.copy_to_parameters()
    if data_parallel.rank() == 0:
        _save(modules.state_dict(), work / f"{name}.pt")
    data_parallel.wait()


def _save(state: Any, path: Path) -> None:
    draft = path.with_suffix(".tmp")  # a fixed name: interrupted saves leave one file at most
    torch.save(state, draft)
    rename_synced(draft, path)
