"""Frequent words: what a tokenizer's vocabulary tells about the captions that a model has seen.

A byte-pair vocabulary (CLIP) has its merges in the order in which they were learned, the most
frequent first; a Unigram vocabulary (T5, umT5) is sorted by its pieces' probabilities. So the first
whole words are among the most frequent of the tokenizer's corpus.
"""

from __future__ import annotations

from typing import Any, cast

from video.models.tokens import Tokens

MIN_LETTERS = 3
_AT_A_TIME = 1000


def frequent_words(tokens: Tokens, most: int) -> list[str]:
    """Return up to `most` words that are a single token each, the most frequent first.

    They have small letters a to z only, at least `MIN_LETTERS`.
    """
    tokenizer: Any = tokens.tokenizer
    found: dict[str, None] = {}
    for start in range(0, len(tokenizer), _AT_A_TIME):
        ids = range(start, min(start + _AT_A_TIME, len(tokenizer)))
        texts = [(token, tokens.decode([token]).strip()) for token in ids]
        words = [(token, text) for token, text in texts if _is_word(text)]
        if not words:
            continue
        cut = tokenizer([text for _, text in words], add_special_tokens=False, verbose=False)
        pieces = cast(list[list[int]], cut.input_ids)
        for (token, text), piece in zip(words, pieces, strict=True):
            if piece == [token]:
                found[text] = None
        if len(found) >= most:
            break
    return list(found)[:most]


def _is_word(text: str) -> bool:
    return len(text) >= MIN_LETTERS and text.isascii() and text.isalpha() and text.islower()
