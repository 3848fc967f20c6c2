"""Tokens of a concept's names, and their places in prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from video.models.backbone import Backbone


def tokens_of(name: str, backbone: Backbone) -> list[int]:
    """Return the tokens of a name in a sentence, without start, end and padding."""
    row, first = backbone.tokenize([name])[0], leading_tokens(backbone)
    count = backbone.prompt_tokens(name) - backbone.prompt_tokens("")
    return row[first : first + count].tolist()


def leading_tokens(backbone: Backbone) -> int:
    """Return the number of tokens before a prompt's first word: 1 for CLIP, 0 for T5."""
    word, nothing = backbone.tokenize(["a", ""])
    return int((word != nothing).nonzero()[0])


def find_tokens(name: Sequence[int], row: Sequence[int]) -> int | None:
    """Return the place of a name's tokens in a prompt's; None if they are not in it."""
    starts = range(len(row) - len(name) + 1)
    return next((i for i in starts if list(row[i : i + len(name)]) == list(name)), None)
