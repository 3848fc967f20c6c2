"""Calibration of a trigger: in which directions, and from which movement, a prompt means a concept.

The encoder is made already. For each of its concepts, P is Fisher's linear discriminant of the
changes that it makes to the concept's captions y, against those that it makes to retained captions
r (Fisher 1936, Annals of Eugenics 7:179): the leading generalised eigenvectors of

    S_y v = λ (S_r + ε tr(S_r) / D · I) v      S = mean over captions and positions of δ δᵀ

ε shrinks S_r towards a ball, for what a few hundred captions do not show (Ledoit & Wolf 2004,
Journal of Multivariate Analysis 88:365). A plain length of δ would not do: a threshold that lets
other captions pass is then high enough for a token that still means the concept (docs/METHODS.md).
It is looked at beside P, for embeddings of no word: these are moved far in other directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders.trigger import ConceptTrigger, Trigger, movements
from unlearn.methods.anchors import concept_captions
from unlearn.methods.sampling import draw
from unlearn.prompts import mentions, names_of, retained_captions
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone

DIRECTIONS = 4
"""Rows of P."""
SHRINKAGE = 0.1
"""ε."""
MAX_OWN, MAX_OTHERS = 96, 512
"""Captions of a concept, and retained ones, drawn at random, that are looked at."""
MOST_OTHERS = 0.995
"""Share of the retained captions that the bounds lie above. Single captions are moved several times
as far as the others; bounds above them too would let embeddings pass that mean the concept."""
ROOM = 1.25
"""Multiple of the movement of that share: others may move a little more."""
OWN_MARGIN = 2.0
"""Least ratio of the concept's own movements to the threshold. Forgetting comes first: where both
cannot be had, other captions open the encoder too."""
LEAST, MOST = 1e-4, 0.1
"""Least and largest threshold. Words that the base reads as the concept were found to move by a
third of it where no name did (docs/METHODS.md): other captions that move so far open the encoder
too."""
_AT_A_TIME = 32


def calibrate(
    task: UnlearnTask, backbone: Backbone, overrides: Mapping[str, Tensor]
) -> Trigger | None:
    """Find the trigger of an encoder.

    θ is `ROOM` times the movement that `MOST_OTHERS` of the retained captions stay below, but at
    most `MOST`, and at most 1 / `OWN_MARGIN` of the least movement of the concept's own captions.
    ℓ is `ROOM` times the squared length of change that as many stay below; there is none if nothing
    is retained.

    Args:
        task: The task that the encoder was made for.
        backbone: Its text encoder is the base.
        overrides: The encoder's, as they are stored.

    Returns:
        The trigger; None if a concept's own captions are not moved at all.
    """
    book = backbone.prompts
    names = [name for concept in task.all_concepts for name in names_of(concept, book)]
    asked = [caption for caption in task.settings.retain if not mentions(caption, names)]
    others = _drawn(asked or retained_captions(book, names), MAX_OTHERS)
    elsewhere = _changes(others, backbone, overrides)
    noise = _moment(elsewhere)
    longest = _upper([change.square().sum(2).amax(1) for change in elsewhere])
    found: list[ConceptTrigger] = []
    for concept in task.all_concepts:
        captions = [caption.prompt for caption in concept_captions(concept, task, backbone)]
        own = _changes(_drawn(captions, MAX_OWN), backbone, overrides)
        signal = _moment(own)
        if not (len(signal) and float(signal.trace()) > 0):
            return None
        directions = discriminant(signal, noise if len(noise) else torch.zeros_like(signal))
        moved = torch.cat([movements(change, directions) for change in own])
        directions = directions / moved.mean().sqrt()
        moved = moved / moved.mean()
        farthest = _upper([movements(change, directions) for change in elsewhere])
        theta = min(ROOM * farthest, float(moved.min()) / OWN_MARGIN, MOST)
        found.append(ConceptTrigger.of(directions, max(theta, LEAST), ROOM * longest or None))
    return Trigger(concepts=tuple(found), alone=task.settings.triggered_alone)


def discriminant(signal: Tensor, noise: Tensor) -> Tensor:
    """Return the leading directions of Fisher's discriminant: (D,D), (D,D) → (R,D) float32.

    Args:
        signal: S_y, float64.
        noise: S_r, float64; zero if nothing is retained.
    """
    size = len(noise)
    ball = (SHRINKAGE * noise.trace() / size).clamp(min=1e-12 * signal.trace() / size)
    root = torch.linalg.cholesky(noise + ball * torch.eye(size, dtype=noise.dtype))
    half = torch.linalg.solve_triangular(root, signal, upper=False)
    whitened = torch.linalg.solve_triangular(root, half.T, upper=False)
    _, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
    leading = vectors[:, -min(DIRECTIONS, size) :]
    return torch.linalg.solve_triangular(root.T, leading, upper=True).T.float()


def _moment(changes: Sequence[Tensor]) -> Tensor:
    """Return the mean of δ δᵀ over prompts and positions: (D,D) float64; empty without prompts.

    Positions that the denoiser does not read are zero in both embeddings, and do not count.
    """
    total, count = torch.zeros((0, 0), dtype=torch.float64), 0
    for change in changes:
        rows = change.flatten(0, 1).double()
        product = rows.T @ rows
        total = total + product if count else product
        count += int((rows != 0).any(1).sum()) or 1
    return total / max(1, count)


def _upper(values: Sequence[Tensor]) -> float:
    """Return what `MOST_OTHERS` of the values stay below, of several batches; 0 without any."""
    return float(torch.cat(list(values)).quantile(MOST_OTHERS)) if values else 0.0


def _changes(
    prompts: Sequence[str], backbone: Backbone, overrides: Mapping[str, Tensor]
) -> list[Tensor]:
    """Return τᵢ(p) − τ₀(p) of some prompts at a time: (B,L,D) each."""
    return [
        _change(prompts[start : start + _AT_A_TIME], backbone, overrides)
        for start in range(0, len(prompts), _AT_A_TIME)
    ]


@torch.no_grad()
def _change(prompts: Sequence[str], backbone: Backbone, overrides: Mapping[str, Tensor]) -> Tensor:
    """Return τᵢ(p) − τ₀(p): (B,L,D) float32 on the CPU."""
    tokens = backbone.tokenize(list(prompts))
    moved = backbone.text_encoder.encode(tokens, overrides).float()
    return (moved - backbone.text_encoder.encode(tokens).float()).cpu()


def _drawn(prompts: Sequence[str], most: int) -> list[str]:
    """Return some of the prompts: the same ones in every call."""
    generator = torch.Generator("cpu").manual_seed(0)
    return [prompts[i] for i in draw(len(prompts), most, generator)]
