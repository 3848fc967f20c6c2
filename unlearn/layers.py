"""Layers to train: patterns on the canonical names of a text encoder's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from unlearn.errors import LayersInvalid

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
"""Named choices, for CLIP's text model and for the encoder of T5 and umT5. `{last}` stands for the
number of the last layer."""


def architecture(names: Iterable[str]) -> Architecture:
    """Return the architecture of a text encoder with parameters of these names."""
    return "t5" if any(".SelfAttention." in name for name in names) else "clip"


def select(names: Iterable[str], layers: str | Sequence[str]) -> list[str]:
    """Return the names of the parameters to train, in the order of `names`.

    Args:
        names: The text encoder's parameters, by canonical name.
        layers: A name of `PRESETS`, or one or more shell-style patterns (`*.layers.0.mlp.*`).

    Raises:
        LayersInvalid: A pattern matches nothing. Less than what was asked for is never trained.
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
