"""Words of a tokenizer, the most frequent first."""

from __future__ import annotations

from tests import tiny, tiny_text
from video.models.frequent_words import frequent_words
from video.models.tokens import Tokens


def test_whole_words_come_in_the_order_of_the_vocabulary() -> None:
    clip = Tokens(tiny.tokenizer(), tiny.MAX_TOKENS)
    words = frequent_words(clip, 1000)
    vocabulary = clip.tokenizer.get_vocab()
    places = [vocabulary[f"{word}</w>"] for word in words]
    assert places == sorted(places)
    assert {"pogo", "cactus", "balloon"} <= set(words)
    assert frequent_words(clip, 3) == words[:3]


def test_pieces_of_words_and_names_with_capitals_are_left_out() -> None:
    for tokenizer in (tiny.tokenizer(), tiny_text.t5()):
        words = frequent_words(Tokens(tokenizer, 32), 1000)
        assert words
        for word in words:
            assert word.isalpha()
            assert word.islower()
            assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1
