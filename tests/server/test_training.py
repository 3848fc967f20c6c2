"""Training that is watched: the stills that it draws between steps change nothing in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from encoders import Concept
from encoders.open_blobs import open_blobs
from server.jobs.training import Training
from server.jobs.workspace import Workspace
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video import load_backbone
from video.models.backbone import Backbone

POGO = (Concept(name="pogo", kind="character"),)


def made(backbone: Backbone, images: np.ndarray, workspace: Workspace | None) -> tuple[str, int]:
    """Return the digest of an encoder, and how many stills were drawn while it was made."""
    run = unlearn(UnlearnTask(POGO, UnlearnSettings(steps=12), (images,)), backbone)
    if workspace is None:
        list(run)
        return run.encoder.card.digest, 0
    training = Training(run, POGO, workspace)
    list(training.turns(backbone, lambda _: None))
    training.close()
    return run.encoder.card.digest, len(training.told()["previews"])


def test_stills_between_the_steps_change_nothing(tiny_backbone_dir: Path, tmp_path: Path) -> None:
    backbone = load_backbone(tiny_backbone_dir)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    alone, _ = made(backbone, images, None)
    workspace = Workspace(open_blobs(tmp_path), "job_watched")
    watched, stills = made(backbone, images, workspace)
    assert stills > 3
    assert watched == alone
