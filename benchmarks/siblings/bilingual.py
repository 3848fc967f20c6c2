"""A sibling of two languages: umT5, trained further on German captions.

It starts from the trained `umt5`. The German words are new pieces with random embeddings, so that
it has to learn from the captions alone which of them mean the same as English ones.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, UMT5EncoderModel

from benchmarks.siblings.architectures import ROWS, SIBLINGS, Sibling, new_encoder
from benchmarks.siblings.german import mixed, words
from benchmarks.siblings.lessons import Teacher
from benchmarks.siblings.making import SEED, Start, make, teacher_parts
from benchmarks.siblings.pieces import t5_tokenizer
from benchmarks.siblings.plan import Plan

BILINGUAL = replace(
    SIBLINGS["umt5"],
    name="umt5-german",
    stands_for="captions in two languages (umT5 in Wan reads a hundred)",
    plan=Plan(steps=600, matrix_rate=3e-3, rate=2e-2),
)


def make_bilingual(folder: Path) -> Path:
    """Make the bilingual sibling in a folder of siblings, and `umt5` before it; return its path.

    What is there already is not made again.
    """
    earlier, directory = folder / "umt5", folder / BILINGUAL.name

    def begin(sibling: Sibling) -> Start:
        return start_bilingual(sibling, UMT5EncoderModel.from_pretrained(earlier / "text_encoder"))

    make(SIBLINGS["umt5"], earlier)
    make(BILINGUAL, directory, begin)
    return directory


def start_bilingual(sibling: Sibling, earlier: PreTrainedModel) -> Start:
    """Return the bilingual sibling at its start, which is the same in every call.

    Args:
        sibling: Its description.
        earlier: A text encoder of the same architecture that knows English.
    """
    clip, built_in = teacher_parts()
    tokenizer = t5_tokenizer(clip, ROWS, words())
    torch.manual_seed(SEED)
    encoder = new_encoder(sibling, tokenizer)
    _take_over(encoder, earlier)
    return Start(encoder, tokenizer, Teacher(sibling, built_in, clip, tokenizer, mixed))


@torch.no_grad()
def _take_over(encoder: PreTrainedModel, earlier: PreTrainedModel) -> None:
    """Copy all weights; rows of new pieces are normal, at the deviation of the others."""
    table: Tensor = _table(encoder)
    known: Tensor = _table(earlier).detach().clone()
    state = earlier.state_dict()
    names = [name for name, value in state.items() if value.shape == known.shape]
    encoder.load_state_dict({n: v for n, v in state.items() if n not in names}, strict=False)
    torch.nn.init.normal_(table, std=float(known.std()))
    table[: len(known)] = known


def _table(encoder: PreTrainedModel) -> Tensor:
    module: Any = encoder.get_input_embeddings()
    return module.weight
