"""Scale of a text encoder's embeddings, so that one setting serves encoders of any scale.

The weights of `redirect` were found on the built-in model. The drift adds the square of a square,
which counts a hundred times less where embeddings are a tenth as long: others are then hardly
retained. So it is divided by a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from video.models.backbone import Backbone

ROOM = 2.0
"""Ratio up to which a deviation is as good as the built-in model's. So its encoders, and those of
models like it, are made as the weights say."""
USUAL_DEVIATION = 0.6
"""Deviation of the built-in model's embeddings."""
MAX_CAPTIONS = 64


@torch.no_grad()
def drift_unit(backbone: Backbone, captions: Sequence[str]) -> float:
    """Return the unit of a drift: 1, or for embeddings of another scale the scale's square.

    Args:
        backbone: Its text encoder is the base.
        captions: Some of them are encoded, to see how far embeddings differ.
    """
    some = list(captions[:: max(1, len(captions) // MAX_CAPTIONS)][:MAX_CAPTIONS])
    if len(some) < 2:
        return 1.0
    embedded = backbone.text_encoder.encode(backbone.tokenize(some)).float()
    deviations = (embedded - embedded.mean(0))[(embedded != 0).any(2)]
    ratio = float(deviations.square().mean().sqrt()) / USUAL_DEVIATION
    if not 0 < ratio < float("inf"):
        return 1.0
    return (ratio / min(max(ratio, 1 / ROOM), ROOM)) ** 2
