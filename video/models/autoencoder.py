"""Autoencoders: for single frames, and for clips with several frames in one latent frame."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from video.frames import Frames, check_frames

FRAMES, PIXELS = 16, 2**18
"""Most frames, and most pixels of all of them, that pass an image autoencoder in one call; a single
frame may have more. Stock pipelines take 16 frames. One activation of Stable Diffusion's has 512
bytes a pixel, and several are alive together."""


class FrameAutoencoder:
    """`AutoencoderKL`: encodes and decodes every frame alone. Implements `Autoencoder`."""

    def __init__(self, vae: Any) -> None:
        self.module: nn.Module = vae
        self.channels = int(vae.config.latent_channels)
        self._vae = vae
        self.shrinks = 2 ** (len(vae.config.block_out_channels) - 1)

    def latent_size(self, frames: int | None, size: tuple[int, int]) -> tuple[int, ...]:
        width, height = size
        plane = (height // self.shrinks, width // self.shrinks)
        return plane if frames is None else (frames, *plane)

    def decode(self, latents: Tensor) -> Frames:
        frames = latents[0].transpose(0, 1) if latents.ndim == 5 else latents
        frames = frames / self._vae.config.scaling_factor
        parts = self._parts(frames, self.shrinks**2)
        return to_frames(torch.cat([self._vae.decode(part).sample for part in parts]))

    def encode(self, pictures: Frames, size: tuple[int, int]) -> Tensor:
        pixels = to_pixels(pictures, size).to(self._vae.device)
        means = [self._vae.encode(part).latent_dist.mode() for part in self._parts(pixels, 1)]
        latents = torch.cat(means) * self._vae.config.scaling_factor
        if pictures.ndim == 5:
            latents = latents.unflatten(0, pictures.shape[:2]).transpose(1, 2)
        return latents

    @staticmethod
    def _parts(frames: Tensor, scale: int) -> tuple[Tensor, ...]:
        pixels = frames.shape[-1] * frames.shape[-2] * scale
        return frames.split(max(1, min(FRAMES, PIXELS // pixels)))


class ClipAutoencoder:
    """`AutoencoderKLCogVideoX` or `AutoencoderKLWan`. Implements `Autoencoder`.

    The first frame has a latent frame of its own; of the others, several share one. A still is a
    clip of one frame.

    Args:
        vae: decodes and encodes (B,C,F,h,w).
        channels: number of the latents' channels, C.
        shrinks: pixels per latent along a side, and frames per latent frame.
        mean: (C,) or a scalar. Latents are (z − mean) / std of the autoencoder's own z.
        std: (C,) or a scalar.
    """

    def __init__(
        self,
        vae: Any,
        *,
        channels: int,
        shrinks: tuple[int, int],
        mean: Tensor | float,
        std: Tensor | float,
    ) -> None:
        self.module: nn.Module = vae
        self.channels = channels
        self._vae = vae
        self._pixels, self._frames = shrinks
        self._mean, self._std = (torch.as_tensor(v).view(1, -1, 1, 1, 1) for v in (mean, std))
        # These autoencoders keep state while they process a clip, so only one at a time.
        self._lock = Lock()

    def latent_frames(self, frames: int) -> int:
        """Return the number of latent frames for F frames: 1 + ⌈(F − 1) / k⌉."""
        return 1 - (1 - frames) // self._frames

    def latent_size(self, frames: int | None, size: tuple[int, int]) -> tuple[int, ...]:
        width, height = size
        plane = (height // self._pixels, width // self._pixels)
        return (self.latent_frames(frames or 1), *plane)

    def decode(self, latents: Tensor) -> Frames:
        latents = latents * self._std.to(latents) + self._mean.to(latents)
        with self._lock:
            clip = self._vae.decode(latents.to(self._vae.dtype)).sample
        return to_frames(clip[0].transpose(0, 1))

    def encode(self, pictures: Frames, size: tuple[int, int]) -> Tensor:
        pixels = to_pixels(pictures, size).to(self._vae.device, self._vae.dtype)
        clips = pixels.unflatten(0, pictures.shape[:2]).transpose(1, 2)
        with self._lock:
            means = [self._vae.encode(clip).latent_dist.mode() for clip in clips.split(1)]
        latents = torch.cat(means).float()
        return (latents - self._mean.to(latents)) / self._std.to(latents)


def to_frames(pixels: Tensor) -> Frames:
    """Convert pixels (F,3,H,W) in [−1, 1] to `uint8` frames (F,H,W,3)."""
    unit = (pixels.float() / 2 + 0.5).clamp(0, 1)
    return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def to_pixels(pictures: Frames, size: tuple[int, int]) -> Tensor:
    """Convert pictures to pixels in [−1, 1], resized to width and height `size`.

    (N,H,W,3) becomes (N,3,h,w), and (N,F,H,W,3) becomes (N·F,3,h,w).

    Raises:
        ValueError: the pictures are not `uint8`, have another shape or are empty.
    """
    check_frames(pictures, dimensions=(4, 5), name="Pictures")
    flat = np.ascontiguousarray(pictures).reshape(-1, *pictures.shape[-3:])
    pixels = torch.from_numpy(flat).permute(0, 3, 1, 2) / 127.5 - 1
    width, height = size
    if pixels.shape[-2:] != (height, width):
        pixels = functional.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
        pixels = pixels.clamp(-1, 1)
    return pixels
