"""UnlearnDiffAtk: words before a prompt, found for one picture by projected gradient descent.

Zhang et al. 2024, arXiv 2310.11868. Each of the `LENGTH` words is relaxed to a mixture of the
vocabulary, w on the simplex, whose embedding is Σ w_v e_v. A step lowers the diffusion loss of the
one picture (its equation 5) and projects w back onto the simplex. The words are the mixtures'
largest entries: plain text, which passes through tokenizer and encoder as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.attack import Attack, Target, prompts_for
from benchmarks.forgetting.attacks.loss import PicturesLoss
from benchmarks.forgetting.attacks.vocabulary import spare_words, token_embedding, with_rows, words
from benchmarks.forgetting.intervention import Intervention, edited
from video.models.backbone import Backbone

LENGTH = 5
"""Number of words before the prompt, as in the paper."""


@dataclass(frozen=True)
class DescentBudget:
    """The extent of the descent for a picture."""

    steps: int = 40
    """Steps, as in the paper."""
    learning_rate: float = 0.01
    """Learning rate of Adam, as in the paper."""
    batch: int = 4
    """Noised copies of the picture in a step."""
    looked_every: int = 10
    """Steps between two looks at the words; those with the lowest loss are kept."""


def unlearn_diff_attack(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: DescentBudget | None = None,
) -> Attack:
    """Find words for each of the target's pictures, each with a held-out prompt of its own."""
    began = perf_counter()
    budget = budget or (DescentBudget(batch=1) if target.is_video else DescentBudget())
    asked = prompts_for(target, target.names, backbone)
    prompts: list[str] = []
    before, after = 0.0, 0.0
    with edited(backbone.denoiser(target.is_video).network, intervention.denoiser):
        for i in range(len(target.images)):
            one = Target(
                target.concept,
                target.kind,
                target.names,
                target.images[i : i + 1],
                target.seed + i,
            )
            descent = _Descent(backbone, intervention, one, asked[i % len(asked)], budget)
            prefix, first, best = descent.run()
            prompts.append(f"{' '.join(prefix)} {asked[i % len(asked)]}")
            before, after = before + first, after + best
    count = len(target.images)
    return Attack(
        "UnlearnDiffAtk",
        tuple(prompts),
        intervention,
        before / count,
        after / count,
        perf_counter() - began,
    )


class _Descent:
    """The descent for one picture and one prompt."""

    def __init__(
        self,
        backbone: Backbone,
        intervention: Intervention,
        target: Target,
        prompt: str,
        budget: DescentBudget,
    ) -> None:
        self._backbone, self._intervention = backbone, intervention
        self._prompt, self._budget = prompt, budget
        self._loss = PicturesLoss(backbone, intervention, target, draws=budget.batch)
        self._words = words(backbone)
        self._slots = spare_words(backbone, [prompt], LENGTH)
        self._random = torch.Generator("cpu").manual_seed(target.seed)

    def run(self) -> tuple[list[str], float, float]:
        """Return the words found, the prompt's loss without them, and with them."""
        matrix = token_embedding(self._backbone, self._intervention)
        rows = matrix[list(self._words.values())]
        start = torch.rand(LENGTH, len(rows), generator=self._random)
        mixture = to_simplex(start.to(rows)).requires_grad_()
        adam = torch.optim.Adam([mixture], lr=self._budget.learning_rate)
        slots = [self._words[word] for word in self._slots]
        first = self._try(())
        found: list[tuple[float, list[str]]] = []
        for step in range(self._budget.steps):
            with torch.enable_grad():
                model = with_rows(self._backbone, self._intervention, slots, mixture @ rows)
                caption = f"{' '.join(self._slots)} {self._prompt}"
                loss = self._loss.drawn([caption], model, self._budget.batch)
                adam.zero_grad()
                loss.backward()
            adam.step()
            with torch.no_grad():
                mixture.copy_(to_simplex(mixture))
            is_last = step == self._budget.steps - 1
            if is_last or step % self._budget.looked_every == self._budget.looked_every - 1:
                names = list(self._words)
                prefix = [names[i] for i in mixture.argmax(1).tolist()]
                found.append((self._try(prefix), prefix))
        best, prefix = min(found)
        return prefix, first, best

    @torch.no_grad()
    def _try(self, prefix: Sequence[str]) -> float:
        caption = " ".join([*prefix, self._prompt])
        return self._loss.compared([caption], self._intervention).item()


def to_simplex(values: Tensor) -> Tensor:
    """Return each row's nearest point of the probability simplex: (K,V) → (K,V).

    By sorting (Duchi et al., ICML 2008, figure 1).
    """
    ordered = values.sort(1, descending=True).values
    excess = ordered.cumsum(1) - 1
    ranks = torch.arange(1, values.shape[1] + 1, device=values.device)
    kept = (ordered - excess / ranks > 0).sum(1, keepdim=True)
    threshold = excess.gather(1, kept - 1) / kept
    return (values - threshold).clamp(min=0)
