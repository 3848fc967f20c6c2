"""Three servers that do the same with diffusers and FastAPI alone, as one would write them.

`reload`: one lock around the pipeline, whose text encoder is loaded anew for each request, as its
weights do not stay in memory. `kept`: the same with all the text encoders in memory. `scoped`:
diffusers' pattern for servers: a pipeline object and a scheduler of its own for each request,
weights shared, in threads. `python -m benchmarks.serving.baseline_servers reload encoders/ 8000
2`: text
encoders in `encoders/`, port 8000, two CPU threads.
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


class Asked(BaseModel):
    """A video's request."""

    prompt: str
    encoder: str
    seed: int
    steps: int
    guidance: float
    frames: int


def app_of(strategy: Strategy, folder: Path) -> FastAPI:
    """The server; `folder` holds a directory of a whole text encoder for each id."""
    pipeline: Any = AnimateDiffPipeline.from_pretrained(WEIGHTS)
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

    @app.post("/videos")  # not async: FastAPI runs it in a thread of its own
    def videos(asked: Asked) -> Response:
        frames = np.asarray(make(asked).frames[0])
        pixels = (frames * 255).round().astype(np.uint8)
        mp4 = encode_mp4(pixels, FPS, (SIDE, SIDE), {})
        return Response(mp4, media_type="video/mp4")

    return app


def _load(path: Path) -> Any:
    return CLIPTextModel.from_pretrained(path, dtype=torch.float32)


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
