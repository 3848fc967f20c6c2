"""Baseline servers: the same task with diffusers and FastAPI alone, by three strategies.

`reload`: one lock around the pipeline; each request loads its text encoder from disk.
`kept`: one lock around the pipeline; all the text encoders stay in memory.
`scoped`: diffusers' pattern for servers; each request runs in a thread, with a pipeline object and
a scheduler of its own, over shared weights.

`python -m benchmarks.serving.baseline_servers reload encoders/ 8000 2` serves the text encoders in
`encoders/` on port 8000 with two CPU threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Literal, cast

import numpy as np
import torch
import uvicorn
from diffusers import AnimateDiffPipeline
from fastapi import FastAPI, Response
from pydantic import BaseModel
from transformers import CLIPTextModel

from benchmarks.harness import WEIGHTS
from video.clip import encode_mp4

Strategy = Literal["reload", "kept", "scoped"]
FPS, SIDE = 8, 512
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Asked(BaseModel):
    """The body of a request for a video."""

    prompt: str
    encoder: str
    seed: int
    steps: int
    guidance: float
    frames: int


def app_of(strategy: Strategy, folder: Path) -> FastAPI:
    """Return the server; `folder` holds one directory with a whole text encoder for each id."""
    pipeline: Any = AnimateDiffPipeline.from_pretrained(WEIGHTS).to(DEVICE)
    pipeline.set_progress_bar_config(disable=True)
    lock = Lock()
    kept: dict[str, Any] = {}
    if strategy != "reload":
        kept = {path.name: _load(path) for path in folder.iterdir()}

    def reload(asked: Asked) -> Any:
        with lock:
            pipeline.text_encoder = _load(folder / asked.encoder)
            return _run(pipeline, asked)

    def swap(asked: Asked) -> Any:
        with lock:
            pipeline.text_encoder = kept[asked.encoder]
            return _run(pipeline, asked)

    def scoped(asked: Asked) -> Any:
        scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
        own = {"scheduler": scheduler, "text_encoder": kept[asked.encoder]}
        mine = AnimateDiffPipeline(**{**pipeline.components, **own})
        mine.set_progress_bar_config(disable=True)
        return _run(mine, asked)

    strategies: dict[Strategy, Callable[[Asked], Any]] = {
        "reload": reload,
        "kept": swap,
        "scoped": scoped,
    }
    make = strategies[strategy]
    app = FastAPI()

    @app.get("/ready")
    def ready() -> bool:
        return True

    @app.post("/videos")  # not async: FastAPI runs it in a thread
    def videos(asked: Asked) -> Response:
        frames = np.asarray(make(asked).frames[0])
        pixels = (frames * 255).round().astype(np.uint8)
        mp4 = encode_mp4(pixels, FPS, (SIDE, SIDE), {})
        return Response(mp4, media_type="video/mp4")

    return app


def _load(path: Path) -> Any:
    model: Any = CLIPTextModel.from_pretrained(path, dtype=torch.float32)
    return model.to(DEVICE)


def _run(pipeline: Any, asked: Asked) -> Any:
    return pipeline(
        asked.prompt,
        num_frames=asked.frames,
        num_inference_steps=asked.steps,
        guidance_scale=asked.guidance,
        generator=torch.Generator().manual_seed(asked.seed),
        output_type="np",
    )


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[4]))
    uvicorn.run(
        app_of(cast(Strategy, sys.argv[1]), Path(sys.argv[2])),
        port=int(sys.argv[3]),
        log_level="warning",
    )
