"""A tokenizer of T5's kind with the words of the built-in model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTokenizer, T5Tokenizer

SPACE = "▁"
_WORD_END = "</w>"
_SPECIAL = ("<pad>", "</s>", "<unk>")
_SCORE = -10.0
"""Score of every piece. It is the same for all, so that a word gets as few pieces as it can."""


def t5_tokenizer(clip: CLIPTokenizer, length: int, more: Sequence[str] = ()) -> T5Tokenizer:
    """Make a Unigram tokenizer in which a word of the built-in model is one piece, as it is there.

    Args:
        clip: The built-in model's tokenizer.
        length: Tokens of a prompt, the end included.
        more: Words of another language, which are one piece each too. Those that the built-in model
            does not have come after all other pieces.
    """
    vocabulary = [(token, 0.0) for token in _SPECIAL]
    pieces = [*_rows_of_pieces(clip), *(SPACE + word for word in more)]
    vocabulary += [(piece, _SCORE) for piece in dict.fromkeys(pieces)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=length)


def rows_of(tokens: T5Tokenizer, clip: CLIPTokenizer) -> Tensor:
    """Return the built-in token that each piece stands for, (V,); that of the end if none."""
    of_piece = _rows_of_pieces(clip)
    end = int(_id(clip, "eos_token_id"))
    pieces = tokens.convert_ids_to_tokens(list(range(len(tokens))))
    return torch.tensor([of_piece.get(str(piece), end) for piece in pieces])


def _rows_of_pieces(clip: CLIPTokenizer) -> dict[str, int]:
    """Return piece → id of the built-in token; only pieces that can be typed on a keyboard."""
    rows: dict[str, int] = {SPACE: int(_id(clip, "eos_token_id"))}
    vocabulary = sorted(clip.get_vocab().items(), key=lambda item: item[1])
    # A word's last piece is looked at first: a whole word is one of those.
    for is_end in (True, False):
        for token, row in vocabulary:
            piece = token.removesuffix(_WORD_END)
            if token.endswith(_WORD_END) == is_end and piece.isascii() and "|" not in piece:
                rows.setdefault(SPACE + piece, row)
                rows.setdefault(piece, row)
    return rows


def _id(tokenizer: Any, name: str) -> int:
    return int(getattr(tokenizer, name))
