"""The harness of the benchmarks: the built-in model in an engine, a store, and its judge."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.progress import track
from transformers import CLIPTextConfig

from encoders.residency import Residency
from encoders.store import EncoderStore
from unlearn.judges.classifier import ClassifierJudge
from video import load_backbone
from video.engine.engine import Engine
from video.models.precision import best_dtype

if TYPE_CHECKING:
    from video.frames import Frames
    from video.generation_request import GenerationRequest
    from video.models.backbone import Backbone

WEIGHTS = Path(__file__).parents[1] / "starter" / "weights"


def clip_vit_l_config() -> CLIPTextConfig:
    """Return the configuration of CLIP ViT-L/14's text encoder, as in Stable Diffusion 1.x."""
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        projection_dim=768,
        num_hidden_layers=12,
        num_attention_heads=12,
    )


@dataclass(frozen=True)
class Harness:
    """A running engine with the built-in model, a store for encoders, and the judge."""

    engine: Engine
    store: EncoderStore
    judge: ClassifierJudge

    @property
    def backbone(self) -> Backbone:
        """The loaded model."""
        return self.engine.backbone

    def generate(self, requests: Sequence[GenerationRequest], description: str) -> list[Frames]:
        """Return the clips or stills of the requests, in order, and show a progress bar."""
        tickets = [self.engine.submit(request) for request in requests]
        return [ticket.result() for ticket in track(tickets, description=description)]


def weights_mark(directory: Path = WEIGHTS) -> str:
    """Return twelve hex digits of a hash over every file of the model and its judge."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(path.relative_to(directory).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


@contextmanager
def harness() -> Generator[Harness]:
    """Start the engine; at the end of the block, stop it and delete the store."""
    with TemporaryDirectory() as folder:
        store = EncoderStore(folder)
        engine = Engine(
            lambda: load_backbone(WEIGHTS, device="cpu", dtype=best_dtype("cpu")),
            lambda backbone: Residency(backbone.text_encoder, store, 2**30, backbone.device),
        )
        engine.start()
        engine.wait_ready()
        try:
            yield Harness(engine, store, ClassifierJudge.load(WEIGHTS / "judge"))
        finally:
            engine.stop()
