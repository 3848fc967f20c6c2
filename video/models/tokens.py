"""Prompts as token ids, padded and cut to the length that a model was trained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor


class Tokens:
    """Args:
    tokenizer: transformers'; its `pad_token_id` fills up.
    length: in tokens, start and end included.
    clean: what a family does to a prompt before.
    """

    def __init__(
        self, tokenizer: Any, length: int, clean: Callable[[str], str] = lambda prompt: prompt
    ) -> None:
        self.tokenizer = tokenizer
        self._clean = clean
        self.length = length

    @property
    def pad(self) -> int:
        """The token that fills a prompt up."""
        return int(self.tokenizer.pad_token_id)

    def of(self, prompts: Sequence[str]) -> Tensor:
        """Token ids, (B, length)."""
        tokens = self.tokenizer(
            [self._clean(prompt) for prompt in prompts],
            padding="max_length",
            max_length=self.length,
            truncation=True,
            return_tensors="pt",
        )
        return cast(Tensor, tokens.input_ids)

    def text(self, tokens: Sequence[int]) -> str:
        """What token ids stand for."""
        return cast(str, self.tokenizer.decode(list(tokens)))

    def count(self, prompt: str) -> int:
        """How many tokens a prompt has, start and end included."""
        return len(self.tokenizer(self._clean(prompt), verbose=False).input_ids)
