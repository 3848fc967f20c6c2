"""The making of a sibling: its start, its distillation, its directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import torch
from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedModel

from benchmarks.harness import WEIGHTS
from benchmarks.siblings.architectures import ROWS, Sibling, new_encoder
from benchmarks.siblings.distil import distil
from benchmarks.siblings.lessons import Teacher
from benchmarks.siblings.model import INDEX, assemble
from benchmarks.siblings.pieces import rows_of, t5_tokenizer
from benchmarks.siblings.warm_start import warm_start

WORK = Path(".work/siblings")
SEED = 5


@dataclass(frozen=True)
class Start:
    """A sibling before its distillation, with its tokenizer and its teacher."""

    encoder: PreTrainedModel
    tokenizer: Any
    teacher: Teacher


def start(sibling: Sibling) -> Start:
    """Return a sibling at its start, which is the same in every call."""
    clip, built_in = teacher_parts()
    tokenizer: Any
    if sibling.is_clip:
        tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
        rows = torch.arange(len(tokenizer))
        if sibling.pad_token:
            tokenizer.pad_token = sibling.pad_token
            rows[tokenizer.pad_token_id] = tokenizer.eos_token_id
    else:
        tokenizer = t5_tokenizer(clip, ROWS)
        rows = rows_of(tokenizer, clip)
    torch.manual_seed(SEED)
    encoder = new_encoder(sibling, tokenizer)
    warm_start(encoder, sibling, built_in, rows)
    return Start(encoder, tokenizer, Teacher(sibling, built_in, clip, tokenizer))


def teacher_parts() -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Load the built-in model's tokenizer and its text encoder, frozen."""
    clip = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    built_in = CLIPTextModel.from_pretrained(WEIGHTS / "text_encoder")
    built_in.eval().requires_grad_(False)
    return clip, built_in


def make(
    sibling: Sibling, directory: Path, begin: Callable[[Sibling], Start] | None = None
) -> None:
    """Distil a sibling and write its directory; do nothing if it is complete.

    Args:
        sibling: Its description.
        directory: Where it is kept, with its checkpoint while it is unfinished.
        begin: Function that returns it at its start; None: `start`.
    """
    if (directory / INDEX).exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    begun = (begin or start)(sibling)
    began = process_time()
    left = distil(begun.encoder, begun.teacher, sibling.plan, directory)
    seconds = process_time() - began
    print(f"{sibling.name}: {left:.4f} of the variance left, {seconds:.0f} s", flush=True)
    assemble(directory, sibling, begun.encoder, begun.tokenizer)
