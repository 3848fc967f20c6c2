"""Loading of the models. Imports torch: call it off the main thread."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from encoders.residency import Residency
from encoders.store import EncoderStore
from server.loaded import Loaded
from server.settings import Settings
from server.storage.staging import StagingStore
from unlearn.judges.load import load_judge
from video import Engine, load_backbone
from video.engine.batching import BatchSizes
from video.engine.observer import Observer
from video.engine.scheduler import Scheduler
from video.engine.tasks import Task
from video.models.backbone import Backbone
from video.models.precision import best_device, best_dtype

log = logging.getLogger(__name__)


def load(
    settings: Settings, observer: Observer, store: EncoderStore, staging: StagingStore
) -> Loaded:
    """Load the models, start the engine, and return once it takes requests.

    Args:
        settings: The server's.
        observer: Is told what the engine does.
        store: The published encoders.
        staging: Those that are made, and the published ones.

    Raises:
        Exception: The models cannot be loaded: no such directory, no such device, out of memory.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = best_device() if settings.device == "auto" else settings.device
    dtype = best_dtype(device)
    if settings.dtype != "auto":
        dtype = getattr(torch, settings.dtype)
    log.info("loading %s for %s", settings.backbone, _said(settings.device, device, dtype))

    def backbone() -> Backbone:
        return load_backbone(
            settings.backbone_source,
            name=settings.backbone if settings.backbone == "starter" else None,
            device=device,
            dtype=dtype,
            offload=settings.offload,
            twin=settings.twin,
            twin_difference=settings.twin_difference,
            motion_adapter=settings.motion_adapter,
            size=settings.generated_size,
            pickles=settings.allow_pickle,
        )

    def residency(backbone: Backbone) -> Residency:
        return Residency(backbone.text_encoder, staging, settings.encoder_cache_bytes, device)

    scheduler = Scheduler[Task](
        low_priority_share=settings.making_share, sizes=BatchSizes(settings.max_batch)
    )
    engine = Engine(backbone, residency, scheduler, observer)
    engine.start()
    engine.wait_ready()
    source = settings.judge or _own_judge(engine.backbone)
    judge = load_judge(source, engine.backbone.prompts) if source else None
    return Loaded(engine, engine.backbone, store, staging, engine.residency, judge)


def _said(asked: str, device: str, dtype: torch.dtype) -> str:
    """Say for the log where is computed, and why there."""
    kind = torch.device(device)
    is_gpu = kind.type == "cuda" and (kind.index or 0) < torch.cuda.device_count()
    name = f" ({torch.cuda.get_device_name(kind)})" if is_gpu else ""
    why = ""
    if asked == "auto":
        why = ", the GPU that was found" if name else ", since torch finds no GPU"
    return f"device {device}{name}{why}; denoiser in {str(dtype).removeprefix('torch.')}"


def _own_judge(backbone: Backbone) -> Path | None:
    """Return the directory of the judge that came with the model, or None."""
    if not backbone.sources:
        return None
    judge = backbone.sources[0] / "judge"
    return judge if judge.is_dir() else None
