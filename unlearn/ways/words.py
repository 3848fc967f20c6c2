"""Words that may draw a concept: those of the model's vocabulary, and those of its descriptions."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from torch.nn.functional import normalize

from unlearn.methods.name_tokens import tokens_of

if TYPE_CHECKING:
    from video.models.backbone import Backbone

LEAST_LETTERS = 2
PLAIN = frozenset(
    re.findall(
        r"\w+",
        "a an and as at by for from he her here his in is it its like look my no not of on one or "
        "our she some that the their there they this to we with you",
    )
)
"""Words that describe nothing. They are no candidates, and stand in no pair."""
_AT_A_TIME = 1024

Steps = Generator[list[Any], None, list[str]]
"""Work of which a little is done for each item, which is empty; it returns its result."""


def whole_words(backbone: Backbone, near: Sequence[str], most: int) -> Steps:
    """Find the words that are a single token: those that are typed as one.

    If there are more than `most`, they are those whose input embeddings are nearest by angle to a
    token of the phrases `near`.
    """
    matrix = backbone.text_encoder.parameters()[backbone.text_encoder.token_embedding]
    usable: list[tuple[int, str]] = []
    for start in range(0, len(matrix), _AT_A_TIME):
        tokens = range(start, min(start + _AT_A_TIME, len(matrix)))
        texts = ((token, backbone.detokenize([token]).strip()) for token in tokens)
        usable += [(token, text) for token, text in texts if _is_word(text)]
        yield []
    if len(usable) > most:
        named = sorted({token for name in near for token in tokens_of(name, backbone)})
        rows = normalize(matrix[[token for token, _ in usable]].float(), dim=1)
        close = (rows @ normalize(matrix[named].float(), dim=1).T).max(1).values
        # Half of a vocabulary are pieces of words, which the next lines take out.
        usable = [usable[i] for i in close.topk(min(len(usable), 2 * most)).indices.tolist()]
    yield []
    alone = backbone.prompt_tokens("") + 1
    words = dict.fromkeys(text for _, text in usable if backbone.prompt_tokens(text) == alone)
    return list(words)[:most]


def describing_words(names: Sequence[str], without: Sequence[str]) -> list[str]:
    """Return the words of a concept's names and descriptions, but for `PLAIN` and those `without`.

    In lower case, each once, in their order.
    """
    found = [word for name in names for word in re.findall(r"[\w-]+", name.lower())]
    skipped = {word.lower() for word in without} | PLAIN
    return list(dict.fromkeys(word for word in found if word not in skipped))


def _is_word(text: str) -> bool:
    return text.isalpha() and len(text) >= LEAST_LETTERS and text.lower() not in PLAIN
