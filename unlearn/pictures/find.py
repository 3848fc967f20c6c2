"""Name pictures with a model at hand, for programs that have no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn.pictures.naming import FoundConcept, confirmed, requests_for, suspects
from unlearn.pictures.scores import score_steps
from unlearn.ways.find import draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders import Kind
    from unlearn.judges.base import Judge
    from video.models.backbone import Backbone


def name_pictures(
    pictures: NDArray[np.uint8], backbone: Backbone, judge: Judge, kind: Kind | None = None
) -> FoundConcept:
    """Find the concept that a few pictures show.

    Args:
        pictures: (N,H,W,3), about four, of the model's own size.
        backbone: The model; its image twin scores.
        judge: It has to know the concept.
        kind: The concept's kind, if it is known.

    Raises:
        NotDrawn: The model does not draw what they show, or the judge cannot tell.
    """
    *_, scores = score_steps(pictures, backbone, kind)
    asked = suspects(scores, pictures, judge, backbone.prompts)
    drawn = [
        list(draw(backbone, requests_for(one, backbone.prompts, backbone.capabilities)))
        for one in asked
    ]
    return confirmed(asked, drawn, len(pictures), judge, backbone.prompts)
