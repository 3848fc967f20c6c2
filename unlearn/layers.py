"""Which of the text encoder's parameters are trained: patterns on canonical names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from encoders import PalimpsestError

PRESETS: dict[str, tuple[str, ...]] = {
    # Fuchi & Takagi's choice: on CLIP ViT-L/14 59 million of 123 million parameters.
    "mlp+last-attention": ("*.mlp.fc?.*", "*.layers.{last}.self_attn.*"),
    "mlp": ("*.mlp.fc?.*",),
    "attention": ("*.self_attn.*",),
    "first": ("*.layers.0.*",),
    "all": ("*",),
}
"""Named choices for CLIP. `{last}` is the number of the last layer."""


class LayersInvalid(PalimpsestError, ValueError):
    """A pattern that no parameter's name matches."""

    code = "invalid_settings"


def select(names: Iterable[str], layers: str | Sequence[str]) -> list[str]:
    """The names that are to be trained, in their order.

    Args:
        names: the text encoder's parameters, by canonical name.
        layers: a name of `PRESETS`, or one or more shell-style patterns (`*.layers.0.mlp.*`).

    Raises:
        LayersInvalid: a pattern matches nothing. It never trains less than what was asked for.
    """
    names = list(names)
    patterns = PRESETS.get(layers, (layers,)) if isinstance(layers, str) else tuple(layers)
    numbers = [int(n) for name in names for n in re.findall(r"\.layers\.(\d+)\.", name)]
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
