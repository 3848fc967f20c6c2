"""Lessons: captions of the built-in world, with the embeddings that a sibling has to give them.

The built-in encoder has a start token, and its padding has an embedding for each position. A T5 has
no start, and cannot count positions from one. So its row i has to be the embedding of the same
word, which is row i + 1, and all of its padding that of the end. The built-in denoiser draws the
same subjects from that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.siblings.architectures import ROWS, Sibling
from starter.captions import caption
from starter.scene import sample_scene

EMPTY = 0.03
"""Share of captions left empty, for guidance."""


@dataclass(frozen=True)
class Lesson:
    """A batch of captions."""

    ids: Tensor
    """The sibling's token ids, (B,L)."""
    counts: Tensor
    """True at the rows whose embedding is learned, (B,L)."""
    targets: Tensor
    """The embeddings to give, (B,L,D)."""


class Teacher:
    """The built-in encoder, and the two tokenizers of a caption.

    Args:
        sibling: What learns.
        encoder: The built-in encoder, frozen.
        clip: Its tokenizer.
        tokenizer: The sibling's.
        reworded: Function from a caption to one of as many tokens that means the same, which the
            sibling reads in its place; None: it reads the caption.
    """

    def __init__(
        self,
        sibling: Sibling,
        encoder: CLIPTextModel,
        clip: CLIPTokenizer,
        tokenizer: Any,
        reworded: Callable[[str, np.random.Generator], str] | None = None,
    ) -> None:
        self._sibling = sibling
        self.encoder = encoder
        self.clip = clip
        self._tokenizer = tokenizer
        self._reworded = reworded

    def lesson(self, seed: tuple[int, int], count: int, *, whole: bool) -> Lesson:
        """Draw captions.

        Args:
            seed: Of every draw.
            count: Captions.
            whole: Pad to all rows; otherwise cut to the longest of the captions.
        """
        random = np.random.default_rng(seed)
        captions = [
            "" if random.random() < EMPTY else caption(sample_scene(random), random)
            for _ in range(count)
        ]
        read = [self._reworded(one, random) for one in captions] if self._reworded else captions
        eos = cast(int, self.clip.eos_token_id)
        ours, theirs = self._ids(self.clip, captions), self._ids(self._tokenizer, read)
        end = ours.eq(eos).int().argmax(1, keepdim=True)
        first = 0 if self._sibling.is_clip else 1
        length = ROWS if whole else min(ROWS, int(end.max()) + 2 - first)
        rows = torch.arange(first, first + length).expand(count, -1)
        if not self._sibling.is_clip:
            rows = rows.minimum(end)
        with torch.no_grad():
            taught = self.encoder(ours[:, : length + first]).last_hidden_state
        targets = taught.gather(1, rows.unsqueeze(2).expand(-1, -1, taught.shape[2]))
        counts = torch.ones(count, length, dtype=torch.bool)
        if self._sibling.masks_padding:
            counts = theirs[:, :length] != self._tokenizer.pad_token_id
        return Lesson(theirs[:, :length], counts, targets)

    def _ids(self, tokenizer: Any, captions: list[str]) -> Tensor:
        encoded = tokenizer(
            captions, padding="max_length", max_length=ROWS, truncation=True, return_tensors="pt"
        )
        return encoded["input_ids"]
