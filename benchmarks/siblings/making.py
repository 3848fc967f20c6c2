"""The making of a sibling: its start, its distillation, its directory."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.harness import WEIGHTS
from benchmarks.siblings.architectures import ROWS, Sibling, new_encoder
from benchmarks.siblings.distil import distil
from benchmarks.siblings.lessons import Teacher
from benchmarks.siblings.model import INDEX, assemble
from benchmarks.siblings.pieces import rows_of, t5_tokenizer
from benchmarks.siblings.warm_start import warm_start

WORK = Path(".work/siblings")
SEED = 5


def make(sibling: Sibling, directory: Path) -> None:
    """Distil a sibling and write its directory; do nothing if it is complete."""
    if (directory / INDEX).exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    clip = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    built_in = CLIPTextModel.from_pretrained(WEIGHTS / "text_encoder")
    built_in.eval().requires_grad_(False)
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
    began = process_time()
    left = distil(encoder, Teacher(sibling, built_in, clip, tokenizer), sibling.plan, directory)
    seconds = process_time() - began
    print(f"{sibling.name}: {left:.4f} of the variance left, {seconds:.0f} s", flush=True)
    assemble(directory, sibling, encoder, tokenizer)
