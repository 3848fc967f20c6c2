"""Specs of the built-in methods.

Importing them imports no torch, so a server that computes nothing can check settings by them. What
they do is imported as a run begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from unlearn.methods.spec import MethodSpec, Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from unlearn.task import UnlearnTask
    from video.models.backbone import Backbone

    Loss = Callable[[Mapping[str, Tensor]], Tensor]


def _redirect(task: UnlearnTask, backbone: Backbone) -> Loss:
    from unlearn.methods.redirect import Redirect

    return Redirect(task, backbone)


def _ascent(task: UnlearnTask, backbone: Backbone) -> Loss:
    from unlearn.methods.ascent import Ascent

    return Ascent(task, backbone)


REDIRECT = MethodSpec(
    name="redirect",
    description="Prompts that name a concept get the embeddings that the same prompts have with "
    "something neutral in its place; captions of everything else keep theirs.",
    learns_from_images=False,
    takes_images=True,
    has_trigger=True,
    defaults=Schedule(steps=180, learning_rate=2e-2, batch_size=8, rank=2),
    make_loss=_redirect,
    cooling=0.4,
)
ASCENT = MethodSpec(
    name="ascent",
    description="A few pictures that show the concept, and gradient ascent on the diffusion loss "
    "under prompts that name it (Liu & Tan, arXiv 2407.14209).",
    learns_from_images=True,
    # On the built-in model (`make bench-forgetting`) this still leaves styles and motions standing,
    # and more steps damage more of everything else. The paper's own for CLIP ViT-L/14 are 8 to 10
    # steps at 1e-5: a schedule does not carry over from one base to another.
    defaults=Schedule(steps=30, learning_rate=1e-3, batch_size=2, rank=0),
    make_loss=_ascent,
)
