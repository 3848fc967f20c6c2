"""Many encoders of the size that unlearning makes, without unlearning: what they change is random,
and small enough that the pictures stay pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from encoders import Card, Concept, Encoder, EncoderStore, low_rank
from encoders.digest import digest, fingerprint
from encoders.text_encoder import TextEncoder
from unlearn import UnlearnSettings, UnlearnTask
from unlearn.optimise import trainable
from video.backbone import Backbone

CONCEPT = Concept(name="pogo", kind="character")
SIZE = 0.003
"""Of a factor's entries: an encoder moves an embedding by about a tenth of what ours do."""


def random_encoder(backbone: Backbone, number: int) -> Encoder:
    """The number's encoder: always the same."""
    settings = UnlearnSettings(seed=number)
    trained = trainable(UnlearnTask((CONCEPT,), settings), backbone)
    generator = torch.Generator().manual_seed(number)
    for name, factor in trained.items():
        if name.endswith(low_rank.B):
            with torch.no_grad():
                factor.copy_(SIZE * torch.randn(factor.shape, generator=generator))
    base: TextEncoder = backbone.text_encoder
    stored = base.effective({name: factor.detach() for name, factor in trained.items()})
    card = Card(
        id=name_of(number),
        concepts=(CONCEPT,),
        method="random",
        settings=settings.to_json(),
        seed=number,
        base=base.fingerprint,
        digest=digest(base.parameters(), stored),
        stored=fingerprint(stored),
        created_at=datetime.now(UTC),
    )
    return Encoder(card, stored)


def name_of(number: int) -> str:
    """Its id."""
    return f"random-{number}"


def publish(backbone: Backbone, folder: Path, count: int) -> EncoderStore:
    """A store with so many of them; those that it has already are left."""
    store = EncoderStore(folder)
    there = {card.id for card in store.cards()}
    missing = [number for number in range(count) if name_of(number) not in there]
    for number in track(missing, description="publishing encoders", transient=True):
        store.publish(random_encoder(backbone, number))
    return store


def save_whole(backbone: Backbone, store: EncoderStore, folder: Path, count: int) -> None:
    """The first of them as whole text encoders, as one has them without overrides: a directory
    each."""
    module = backbone.text_encoder.module
    own: dict[str, Tensor] = dict(module.state_dict())
    for number in range(count):
        overrides = store.load(name_of(number)).overrides
        laid = low_rank.meet(backbone.text_encoder.parameters(), overrides)
        by_own_name = {name.removeprefix("text_model."): tensor for name, tensor in laid.items()}
        state = {
            name: by_own_name.get(name.removeprefix("text_model."), tensor).contiguous()
            for name, tensor in own.items()
        }
        module.save_pretrained(folder / name_of(number), state_dict=state)
