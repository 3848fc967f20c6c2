"""Tokens are counted by requests while the engine encodes prompts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.tiny import MAX_TOKENS, tokenizer
from video.models.tokens import Tokens


def test_prompts_are_padded_whatever_other_threads_count() -> None:
    tokens = Tokens(tokenizer(), MAX_TOKENS)
    prompts = ["pogo", "pogo in a meadow at night"]
    expected, count = tokens.encode(prompts), tokens.count("pogo in a meadow")

    def work(number: int) -> bool:
        if number % 2:
            return tokens.count("pogo in a meadow") == count
        return bool((tokens.encode(prompts) == expected).all())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(2000))) == [True] * 2000
