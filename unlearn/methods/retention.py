"""Retention: captions of everything else, and the empty prompt, must keep their embeddings.

A change that damages a concept's neighbours shows in a few captions of the hundreds there are. So
half of a step's captions are drawn at random, and half by prioritized replay (Schaul et al. 2016,
arXiv 1511.05952): a caption is drawn with a chance in proportion to p^α, where p is its drift when
it was last drawn. Captions that were not drawn yet come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.methods import objectives
from unlearn.methods.anchor_rows import Beginning
from unlearn.methods.sampling import draw

if TYPE_CHECKING:
    from video.models.backbone import Backbone

ALPHA = 4.0
"""Exponent of the priorities: nearly all of these draws fall on the captions that drift most."""
NEW, MIN_PRIORITY = 10.0, 1e-2
"""Priorities as multiples of the largest drift: of a caption that was not drawn yet, and the least
of all, so that every caption has a chance."""


class Retention:
    """Draws captions and measures how far an encoder has moved them.

    Args:
        captions: Captions to retain. The empty prompt, which the unconditional branch of guidance
            uses in every request, is added to every draw.
        beginnings: Words that captions may share with the names to be forgotten: where a caption
            has them, they are to move as in those names (`unlearn.methods.anchor_rows`).
        backbone: Its text encoder gives the embeddings to keep.
        generator: On the CPU; draws the captions.
    """

    def __init__(
        self,
        captions: Sequence[str],
        beginnings: Sequence[Beginning],
        backbone: Backbone,
        generator: torch.Generator,
    ) -> None:
        self.captions = captions
        self._beginnings = beginnings
        self._backbone = backbone
        self._random = generator
        self._index = {caption: i for i, caption in enumerate(captions)}
        self._drifts = torch.full((len(captions),), torch.inf)
        """Of each caption when it was last drawn; infinite if it was not."""
        self._base: dict[str, Tensor] = {}
        self._batches: list[list[str]] = []
        """Captions in the batches in which the base encoded them: a batch decides the last bit."""

    def draw(self, count: int) -> list[str]:
        """Return `count` captions, or fewer if there are no more, and the empty prompt."""
        drawn = draw(len(self.captions), count - count // 2, self._random)
        if more := min(count // 2, len(self.captions)):
            drawn += torch.multinomial(self._chances(), more, generator=self._random).tolist()
        return [*(self.captions[i] for i in drawn), ""]

    def drift(self, drawn: list[str], embeddings: Tensor) -> Tensor:
        """Return `objectives.drift` of each caption of a draw from its target: (B,).

        Args:
            drawn: Captions r of a draw, the empty prompt last.
            embeddings: τ_φ(r), (B,L,D).
        """
        drifts = objectives.drift(embeddings, self._by_base(drawn))
        # A run that diverges must reach its end, where the encoder is refused as not finite.
        last = drifts.detach()[:-1].cpu().nan_to_num(nan=torch.inf)
        self._drifts[[self._index[caption] for caption in drawn[:-1]]] = last
        return drifts

    def state(self) -> dict[str, Tensor]:
        """Return what the calls so far have changed, but the generator, which is the caller's."""
        numbers = {**self._index, "": len(self.captions)}
        return {
            "drifts": self._drifts,
            "sizes": torch.tensor([len(batch) for batch in self._batches], dtype=torch.int64),
            "batches": torch.tensor(
                [numbers[caption] for batch in self._batches for caption in batch],
                dtype=torch.int64,
            ),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self._drifts.copy_(state["drifts"])
        captions = [*self.captions, ""]
        for batch in state["batches"].split(state["sizes"].tolist()):
            self._encode_by_base([captions[number] for number in batch.tolist()])

    def _chances(self) -> Tensor:
        """Return each caption's chance of being drawn by its drift, up to a factor: (N,)."""
        known = self._drifts[self._drifts.isfinite()]
        largest = known.max() if len(known) and known.max() > 0 else torch.tensor(1.0)
        return (self._drifts / largest).clamp(MIN_PRIORITY, NEW) ** ALPHA

    def _by_base(self, captions: list[str]) -> Tensor:
        """Return the captions' targets, cached: each caption is drawn many times."""
        if new := [caption for caption in dict.fromkeys(captions) if caption not in self._base]:
            self._encode_by_base(new)
        return torch.stack([self._base[caption] for caption in captions])

    @torch.no_grad()
    def _encode_by_base(self, captions: list[str]) -> None:
        rows = self._backbone.tokenize(captions)
        encoded = self._backbone.text_encoder.encode(rows)
        for beginning in self._beginnings:
            encoded = beginning.moved(rows, encoded, self._backbone.text_encoder)
        self._base |= zip(captions, encoded, strict=True)
        self._batches.append(captions)
