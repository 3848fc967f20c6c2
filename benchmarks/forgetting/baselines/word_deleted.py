"""A word filter: the concept's names are taken out of the prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from unlearn.prompts import GENERIC, all_names
from video.frames import Frames
from video.models.backbone import Backbone

ARTICLE = r"(?:a|an|the|one|some|my|our|your)"
STYLE_OF = rf"(?:(?:in|after)\s+)?(?:{ARTICLE}\s+)?(?:style|manner)\s+of\s+(?:{ARTICLE}\s+)?"
PREPOSITION = rf"(?:in|by|like|as|with|after|from)\s+(?:{ARTICLE}\s+)?"
LEAD = {
    "style": rf"(?:{STYLE_OF}|{PREPOSITION})?",
    "motion": r"(?:(?:while|by)\s+)?",
}
"""Words before a name that are deleted with it; for the other kinds, the article."""
TAIL = {"style": r"(?:['’]s)?(?:[\s-]+style(?!\w))?", "motion": ""}


def word_deleted(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Replace every name that the book has for the concept by its kind's generic word.

    Nothing is learned: `images` and `seed` are not used.
    """
    names = all_names(concept, kind, (), backbone.prompts)
    generic = {**GENERIC, **backbone.prompts.generic}[kind]
    return Intervention(
        "word deleted",
        concept,
        kind,
        rewrite=lambda prompt: (without_names(prompt, names, kind, generic), ""),
    )


def without_names(prompt: str, names: Sequence[str], kind: Kind, generic: str) -> str:
    """Return the prompt with `generic` in the place of every name.

    Names match as whole words, in any case, the longest first. An article is replaced with the
    name, since the generic word has its own. Styles and motions are deleted with the words that
    introduce them: "a star, in the style of dottie, at night" → "a star, at night". A prompt
    without a name is returned unchanged.
    """
    if kind in LEAD:
        before, after, words = rf"(?:,\s*)?(?<!\w){LEAD[kind]}", TAIL[kind], list(names)
    else:
        before, after = rf"(?<!\w)(?:{ARTICLE}\s+)?", ""
        words = [re.sub(rf"^{ARTICLE}\s+(?=\S)", "", name, flags=re.IGNORECASE) for name in names]
    longest_first = sorted(words, key=len, reverse=True)
    any_name = "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first)
    pattern = rf"{before}(?<!\w)(?:{any_name})(?!\w){after}"
    left, found = re.subn(pattern, lambda _: generic, prompt, flags=re.IGNORECASE)
    return _tidy(left) if found else prompt


def _tidy(text: str) -> str:
    """Remove spaces and commas that a deletion left over."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+(?=[,.;:!?])", "", text)
    text = re.sub(r",+(?=[,.;:!?])", "", text)
    return text.strip(" ,;:")
