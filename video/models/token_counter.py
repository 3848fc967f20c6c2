"""Token counts without a model: a tokenizer's rules as text, and the cleaning before them.

Nothing here imports torch: a server that computes nothing checks the length of prompts with it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from enum import StrEnum

from tokenizers import Tokenizer


class Cleaning(StrEnum):
    """Cleaning of a prompt before it is tokenized, as a family's training did it."""

    NONE = "none"
    LOWER_CASE = "lower_case"
    """Latte's: lower case, no spaces at the ends."""
    PLAIN_TEXT = "plain_text"
    """Wan's: no HTML entities, single spaces."""

    def clean(self, prompt: str) -> str:
        """Return the cleaned prompt."""
        return _CLEAN[self](prompt)


class TokenCounter:
    """A counter of prompts' tokens. Its methods may be called on any thread.

    Args:
        rules: The tokenizer's, as JSON of the library `tokenizers`.
        cleaning: Cleaning that comes first.

    Raises:
        ValueError: The rules cannot be read.
    """

    def __init__(self, rules: str, cleaning: Cleaning) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(rules)
        except Exception as error:  # the library raises nothing more exact
            raise ValueError(f"the tokenizer's rules cannot be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._cleaning = cleaning

    def count(self, prompt: str) -> int:
        """Count a prompt's tokens before it is cut, start and end included."""
        return len(self._tokenizer.encode(self._cleaning.clean(prompt)).ids)


_CLEAN: Mapping[Cleaning, Callable[[str], str]] = {
    Cleaning.NONE: lambda prompt: prompt,
    Cleaning.LOWER_CASE: lambda prompt: prompt.lower().strip(),
    Cleaning.PLAIN_TEXT: lambda prompt: " ".join(html.unescape(html.unescape(prompt)).split()),
}
