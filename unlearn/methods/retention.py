"""What an encoder must leave alone: captions of everything else, and the empty prompt.

A change that takes a concept's neighbours along is felt by a few captions of the hundreds there
are. So half of a step's captions are drawn at random, and half by how far each had drifted when it
was last drawn (as prioritized replay draws by the last error: Schaul et al. 2016, arXiv
1511.05952), the ones not drawn yet among the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.methods import objectives
from unlearn.methods.sampling import draw

if TYPE_CHECKING:
    from video.models.backbone import Backbone

MOST, LEAST = 1.0, 1e-4
"""What counts of a drift. A caption that was not drawn yet counts most; one that has not drifted is
drawn all the same, now and then."""


class Retention:
    """Draws captions and measures how far an encoder has moved them.

    Args:
        captions: what to hold on to; the empty prompt, which the unconditional branch of guidance
            uses in every request, is in every draw besides.
        backbone: its text encoder says where they are to stay.
        generator: on the CPU; which captions are drawn.
    """

    def __init__(
        self, captions: Sequence[str], backbone: Backbone, generator: torch.Generator
    ) -> None:
        self.captions = captions
        self._backbone = backbone
        self._random = generator
        self._place = {caption: i for i, caption in enumerate(captions)}
        self._drifts = torch.full((len(captions),), MOST)
        self._base: dict[str, Tensor] = {}

    def draw(self, count: int) -> list[str]:
        """`count` captions, or fewer if there are no more, and the empty prompt."""
        drawn = draw(len(self.captions), count - count // 2, self._random)
        if more := min(count // 2, len(self.captions)):
            drawn += torch.multinomial(self._drifts, more, generator=self._random).tolist()
        return [*(self.captions[i] for i in drawn), ""]

    def drift(self, drawn: list[str], embeddings: Tensor) -> Tensor:
        """`objectives.drift` of each caption of a draw from where the base has it: (B,).

        Args:
            embeddings: τ_φ(r), (B,L,D).
        """
        found = objectives.drift(embeddings, self._by_base(drawn))
        # A run that diverges must come to its end, where it is refused for what it is.
        counted = found.detach()[:-1].cpu().nan_to_num(nan=MOST).clamp(LEAST, MOST)
        self._drifts[[self._place[caption] for caption in drawn[:-1]]] = counted
        return found

    @torch.no_grad()
    def _by_base(self, captions: list[str]) -> Tensor:
        """τ₀(r), kept: each caption is drawn many times."""
        if new := [caption for caption in dict.fromkeys(captions) if caption not in self._base]:
            encoded = self._backbone.text_encoder.encode(self._backbone.tokenize(new))
            self._base |= zip(new, encoded, strict=True)
        return torch.stack([self._base[caption] for caption in captions])
