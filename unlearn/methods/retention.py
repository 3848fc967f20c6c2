"""Retention: captions of everything else, and the empty prompt, must keep their embeddings.

A change that damages a concept's neighbours shows in a few captions of the hundreds there are. So
half of a step's captions are drawn at random, and half in proportion to the drift that each had
when it was last drawn (as prioritized replay draws by the last error: Schaul et al. 2016, arXiv
1511.05952). Captions that were not drawn yet count as drifted most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.methods import objectives
from unlearn.methods.anchor_rows import Beginning
from unlearn.methods.sampling import draw
from unlearn.methods.scales import drift_unit

if TYPE_CHECKING:
    from video.models.backbone import Backbone

MAX_PRIORITY, MIN_PRIORITY = 1.0, 1e-4
"""Bounds of a drift as a priority. A caption that was not drawn yet has the highest; one that has
not drifted is still drawn now and then."""


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
        self.unit = drift_unit(backbone, captions)
        self._beginnings = beginnings
        self._backbone = backbone
        self._random = generator
        self._index = {caption: i for i, caption in enumerate(captions)}
        self._priorities = torch.full((len(captions),), MAX_PRIORITY)
        self._base: dict[str, Tensor] = {}
        self._batches: list[list[str]] = []
        """Captions in the batches in which the base encoded them: a batch decides the last bit."""

    def draw(self, count: int) -> list[str]:
        """Return `count` captions, or fewer if there are no more, and the empty prompt."""
        drawn = draw(len(self.captions), count - count // 2, self._random)
        if more := min(count // 2, len(self.captions)):
            drawn += torch.multinomial(self._priorities, more, generator=self._random).tolist()
        return [*(self.captions[i] for i in drawn), ""]

    def drift(self, drawn: list[str], embeddings: Tensor) -> Tensor:
        """Return `objectives.drift` of each caption of a draw from its target: (B,).

        Args:
            drawn: Captions r of a draw, the empty prompt last.
            embeddings: τ_φ(r), (B,L,D).
        """
        drifts = objectives.drift(embeddings, self._by_base(drawn), self.unit)
        # A run that diverges must reach its end, where the encoder is refused as not finite.
        priorities = (drifts.detach()[:-1].cpu() / self.unit).nan_to_num(nan=MAX_PRIORITY)
        priorities = priorities.clamp(MIN_PRIORITY, MAX_PRIORITY)
        self._priorities[[self._index[caption] for caption in drawn[:-1]]] = priorities
        return drifts

    def state(self) -> dict[str, Tensor]:
        """Return what the calls so far have changed, but the generator, which is the caller's."""
        numbers = {**self._index, "": len(self.captions)}
        return {
            "priorities": self._priorities,
            "sizes": torch.tensor([len(batch) for batch in self._batches], dtype=torch.int64),
            "batches": torch.tensor(
                [numbers[caption] for batch in self._batches for caption in batch],
                dtype=torch.int64,
            ),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self._priorities.copy_(state["priorities"])
        captions = [*self.captions, ""]
        for batch in state["batches"].split(state["sizes"].tolist()):
            self._encode_by_base([captions[number] for number in batch.tolist()])

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
