"""Which of the text encoder's parameters are trained: patterns on canonical names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from encoders import PalimpsestError

Architecture = Literal["clip", "t5"]

PRESETS: Mapping[str, Mapping[Architecture, tuple[str, ...]]] = {
    # Fuchi & Takagi's choice: on CLIP ViT-L/14 59 million of 123 million parameters.
    "mlp+last-attention": {
        "clip": ("*.mlp.fc?.*", "*.layers.{last}.self_attn.*"),
        "t5": ("*.DenseReluDense.w*", "*.block.{last}.layer.0.SelfAttention.?.weight"),
    },
    "mlp": {"clip": ("*.mlp.fc?.*",), "t5": ("*.DenseReluDense.w*",)},
    "attention": {"clip": ("*.self_attn.*",), "t5": ("*.SelfAttention.?.weight",)},
    "first": {"clip": ("*.layers.0.*",), "t5": ("*.block.0.*",)},
    "all": {"clip": ("*",), "t5": ("*",)},
}
"""Named choices, for CLIP's text model and for T5's and umT5's encoder. `{last}` is the number of
the last layer."""


class LayersInvalid(PalimpsestError, ValueError):
    """A pattern that no parameter's name matches."""

    code = "invalid_settings"


def architecture(names: Iterable[str]) -> Architecture:
    """What sort of text encoder has parameters of these names."""
    return "t5" if any(".SelfAttention." in name for name in names) else "clip"


def select(names: Iterable[str], layers: str | Sequence[str]) -> list[str]:
    """The names that are to be trained, in their order.

    Args:
        names: the text encoder's parameters, by canonical name.
        layers: a name of `PRESETS`, or one or more shell-style patterns (`*.layers.0.mlp.*`).

    Raises:
        LayersInvalid: a pattern matches nothing. It never trains less than what was asked for.
    """
    names = list(names)
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    if isinstance(layers, str) and layers in PRESETS:
        patterns = PRESETS[layers][architecture(names)]
    numbers = [int(n) for name in names for n in re.findall(r"\.(?:layers|block)\.(\d+)\.", name)]
    last = str(max(numbers, default=0))
    chosen: set[str] = set()
    for pattern in patterns:
        matching = [n for n in names if fnmatchcase(n, pattern.replace("{last}", last))]
        if not matching:
            raise LayersInvalid(
                f"No parameter of the text encoder is called {pattern!r}; presets are "
                f"{', '.join(PRESETS)}, and names look like {names[len(names) // 2]!r}.",
                param="layers",
            )
        chosen.update(matching)
    return [name for name in names if name in chosen]
