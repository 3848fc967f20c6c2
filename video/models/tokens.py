"""Tokens: prompts as token ids, padded and cut to the length a model was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any, cast

from torch import Tensor

from video.models.token_counter import Cleaning


class Tokens:
    """A tokenizer with its model's length and cleaning.

    Args:
        tokenizer: of transformers; prompts are padded with its `pad_token_id`.
        length: in tokens, start and end included.
        cleaning: cleaning of a prompt that comes first.
    """

    def __init__(self, tokenizer: Any, length: int, cleaning: Cleaning = Cleaning.NONE) -> None:
        self.tokenizer = tokenizer
        self.cleaning = cleaning
        self.length = length
        # transformers' tokenizers keep padding and truncation as state: a count by one thread
        # between another's setting and its call leaves prompts unpadded.
        self._turn = Lock()

    @property
    def pad(self) -> int:
        """Token id of padding."""
        return int(self.tokenizer.pad_token_id)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return the prompts' token ids, (B, length)."""
        cleaned = [self.cleaning.clean(prompt) for prompt in prompts]
        with self._turn:
            tokens = self.tokenizer(
                cleaned,
                padding="max_length",
                max_length=self.length,
                truncation=True,
                return_tensors="pt",
            )
        return cast(Tensor, tokens.input_ids)

    def rules(self) -> str:
        """Return the tokenizer's rules as JSON, for a `TokenCounter`."""
        with self._turn:
            return cast(str, self.tokenizer.backend_tokenizer.to_str())

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""
        return cast(str, self.tokenizer.decode(list(tokens)))

    def count(self, prompt: str) -> int:
        """Count a prompt's tokens before it is cut, start and end included."""
        cleaned = self.cleaning.clean(prompt)
        with self._turn:
            return len(self.tokenizer(cleaned, verbose=False).input_ids)
