"""Many encoders of the size that unlearning makes, with random changes instead of unlearning.

The changes are small, so that the model still draws recognisable pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import torch
from rich.progress import track
from torch import Tensor
from transformers import CLIPTextModel

from benchmarks.harness import clip_vit_l_config
from encoders import Card, Concept, Encoder, low_rank
from encoders.digest import canonical, fingerprint
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder
from unlearn import UnlearnSettings, UnlearnTask
from unlearn.methods.trainable import trainable
from video.models.backbone import Backbone

CONCEPT = Concept(name="pogo", kind="character")
SIZE = 0.003
"""Standard deviation of a factor's entries: embeddings move by about a tenth of what ours do."""


def random_factors(text_encoder: TextEncoder, number: int) -> dict[str, Tensor]:
    """Return the low-rank factors of the number's encoder; the same number gives the same."""
    task = UnlearnTask((CONCEPT,), UnlearnSettings(seed=number))
    trained = trainable(task, cast(Backbone, SimpleNamespace(text_encoder=text_encoder)))
    generator = torch.Generator().manual_seed(number)
    for name, factor in trained.items():
        if name.endswith(low_rank.B):
            with torch.no_grad():
                factor.copy_(SIZE * torch.randn(factor.shape, generator=generator))
    return {name: factor.detach() for name, factor in trained.items()}


def random_encoder(text_encoder: TextEncoder, number: int) -> Encoder:
    """Make the number's encoder."""
    return Encoder.of(
        text_encoder,
        random_factors(text_encoder, number),
        id=name_of(number),
        concepts=(CONCEPT,),
        method="random",
        seed=number,
    )


def large_encoder(text_encoder: TextEncoder, number: int) -> Encoder:
    """Make the number's encoder without multiplying its matrices out, which takes long.

    The digest is of the factors: no benchmark compares it with another encoder's.
    """
    stored = {
        name: canonical(factor) for name, factor in random_factors(text_encoder, number).items()
    }
    card = Card(
        id=name_of(number),
        concepts=(CONCEPT,),
        method="random",
        seed=number,
        base=text_encoder.fingerprint,
        digest=fingerprint(stored),
        stored=fingerprint(stored),
        created_at=datetime.now(UTC),
    )
    return Encoder(card, stored)


def clip_vit_l() -> TextEncoder:
    """Return a text encoder of CLIP ViT-L/14's sizes, with the same random weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TextEncoder(CLIPTextModel(clip_vit_l_config()))


def name_of(number: int) -> str:
    """Return the id of the number's encoder."""
    return f"random-{number}"


def publish(
    text_encoder: TextEncoder,
    folder: Path,
    count: int,
    make: Callable[[TextEncoder, int], Encoder] = random_encoder,
) -> EncoderStore:
    """Return a store with `count` encoders; only the missing ones are made."""
    store = EncoderStore(folder)
    there = {card.id for card in store.cards()}
    missing = [number for number in range(count) if name_of(number) not in there]
    for number in track(missing, description="publishing encoders", transient=True):
        store.publish(make(text_encoder, number))
    return store


def save_whole(backbone: Backbone, store: EncoderStore, folder: Path, count: int) -> None:
    """Save the first `count` encoders as whole text encoders, each in a directory of `folder`.

    Servers without overrides need them in this form.
    """
    module = backbone.text_encoder.module
    own: dict[str, Tensor] = dict(module.state_dict())
    for number in range(count):
        overrides = store.load(name_of(number)).overrides
        laid = low_rank.apply(backbone.text_encoder.parameters(), overrides)
        by_own_name = {name.removeprefix("text_model."): tensor for name, tensor in laid.items()}
        state = {
            name: by_own_name.get(name.removeprefix("text_model."), tensor).contiguous()
            for name, tensor in own.items()
        }
        module.save_pretrained(folder / name_of(number), state_dict=state)
