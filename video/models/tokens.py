"""Tokens: prompts as token ids, padded and cut to the length a model was trained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor


class Tokens:
    """A tokenizer with its model's length and cleaning.

    Args:
        tokenizer: of transformers; prompts are padded with its `pad_token_id`.
        length: in tokens, start and end included.
        clean: cleans a prompt first, as the family's training did.
    """

    def __init__(
        self, tokenizer: Any, length: int, clean: Callable[[str], str] = lambda prompt: prompt
    ) -> None:
        self.tokenizer = tokenizer
        self._clean = clean
        self.length = length

    @property
    def pad(self) -> int:
        """Token id of padding."""
        return int(self.tokenizer.pad_token_id)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return the prompts' token ids, (B, length)."""
        tokens = self.tokenizer(
            [self._clean(prompt) for prompt in prompts],
            padding="max_length",
            max_length=self.length,
            truncation=True,
            return_tensors="pt",
        )
        return cast(Tensor, tokens.input_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""
        return cast(str, self.tokenizer.decode(list(tokens)))

    def count(self, prompt: str) -> int:
        """Count a prompt's tokens before it is cut, start and end included."""
        return len(self.tokenizer(self._clean(prompt), verbose=False).input_ids)
