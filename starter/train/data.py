"""The training scenes and their latents, rendered and encoded once and kept in the work folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.atomic_files import write_atomically
from starter.scene import FRAMES, Scene, sample_scene
from starter.train import data_parallel
from starter.train.autoencoder import LATENT_CHANNELS, to_tensor

ENCODE_BATCH = 48


@dataclass(frozen=True)
class Latents:
    """Scenes with their latents: (N, F, 24, 8, 8) in half precision, scaled to unit deviation.

    Stills have F = 1: one of the frames of the scene's clip.
    """

    scenes: Sequence[Scene]
    values: NDArray[np.float16]

    def take(self, indices: NDArray[np.int64]) -> Tensor:
        """Return float latents of some scenes, (n, F, 24, 8, 8)."""
        return torch.from_numpy(np.asarray(self.values[indices])).float()


def training_scenes(count: int, seed: int) -> list[Scene]:
    """Draw scenes; scene `i` depends only on the seed and on `i`."""
    return [sample_scene(np.random.default_rng((seed, i))) for i in range(count)]


def latents_of(vae: Any, count: int, seed: int, clips: bool, path: Path) -> Latents:
    """Render and encode `count` scenes, resuming an interrupted run."""
    scenes = training_scenes(count, seed)
    if data_parallel.rank() == 0:
        _render(vae, scenes, seed, clips, path)
    data_parallel.wait()
    return Latents(scenes, np.lib.format.open_memmap(path, mode="r"))


@torch.no_grad()
def _render(vae: Any, scenes: Sequence[Scene], seed: int, clips: bool, path: Path) -> None:
    count, frames = len(scenes), FRAMES if clips else 1
    shape = (count, frames, LATENT_CHANNELS, 8, 8)
    progress = path.with_suffix(".done")
    done = int(progress.read_text()) if progress.exists() else 0
    mode = "r+" if path.exists() else "w+"
    values = np.lib.format.open_memmap(path, mode=mode, dtype=np.float16, shape=shape)
    scale = float(vae.config["scaling_factor"])
    group = max(1, ENCODE_BATCH // frames)
    for start in range(done, count, group):
        chosen = scenes[start : start + group]
        if clips:
            pixels = np.concatenate([scene.clip() for scene in chosen])
        else:
            moments = np.random.default_rng((seed, 1, start)).integers(FRAMES, size=len(chosen))
            pixels = np.stack(
                [s.frame(m / (FRAMES - 1)) for s, m in zip(chosen, moments, strict=True)]
            )
        encoded = _encode(vae, pixels) * scale
        values[start : start + group] = encoded.view(len(chosen), *shape[1:]).half().numpy()
        if start // group % 100 == 99:
            values.flush()
            write_atomically(progress, str(start + group).encode())
            print(f"latents {start + group}/{count}", flush=True)
    values.flush()
    write_atomically(progress, str(count).encode())


def _encode(vae: Any, frames: NDArray[np.uint8]) -> Tensor:
    return vae.encode(to_tensor(frames)).latent_dist.mode()
