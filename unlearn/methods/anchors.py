"""What stands in a name's place: as far as a causal text encoder can bring it about.

In "our friend otto" nothing at "our friend" says yet whom it is about, and the same words begin
other people's names. Whatever a causal encoder makes of them there, it makes of them everywhere; to
ask for something else is to ask for harm. So an anchor keeps the words that a name begins with as
long as another's name begins so too, and has its neutral word from there on, in as many tokens as
the name: then the rest of the sentence stays where it is as well, and moving it would be most of
what there is to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from video.models.backbone import Backbone


def anchor_phrase(
    phrase: str, neutral: str, others: Sequence[Sequence[str]], backbone: Backbone
) -> str:
    """The anchor's phrase for a name's.

    Args:
        phrase: a name as it stands in a sentence ("our friend otto"; ", in the style of dottie").
        neutral: what means nothing in particular ("a person"); "" to leave the place empty.
        others: of every other concept of the kind, its names as they stand in sentences.

    Returns:
        "our friend person"; ", in the style of".
    """
    words = phrase.split(" ")
    beginnings = list(accumulate(words, lambda one, other: f"{one} {other}"))[:-1]
    kept = ""
    for beginning in beginnings:
        if any(name.startswith(f"{beginning} ") for names in others for name in names):
            kept = beginning
    if not neutral:
        return kept
    last = neutral.split()[-1]
    said = kept.split() if kept else neutral.split()
    tokens = backbone.prompt_tokens(phrase)
    while len(said) > 1 and not kept and backbone.prompt_tokens(" ".join(said)) > tokens:
        said = said[1:]
    if kept:
        said.append(last)
    while backbone.prompt_tokens(" ".join([*said, last])) <= tokens:
        said.append(last)
    return " ".join(said)
