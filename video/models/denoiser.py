"""Denoiser: a denoising network with its latents, of a video model or of its image twin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from video.errors import BackboneInvalid
from video.frames import Frames
from video.models.placement import Placement

DENOISER_CHECKPOINTING_MIN_PARAMETERS = 200_000_000
"""Number of parameters above which a denoising network uses activation checkpointing: it frees its
activations and computes them again in the backward pass. In Stable Diffusion's U-Net they take more
memory than the weights."""

PredictionType = Literal["epsilon", "v_prediction", "flow_prediction"]


@dataclass(frozen=True)
class NoiseSchedule:
    """Noise schedule of the training: x = signal·x₀ + noise·ε at each of T times, all (T,)."""

    timesteps: Tensor
    """Times in the form of the network's input."""
    signal: Tensor
    noise: Tensor

    @classmethod
    def of_alphas(cls, alphas_cumprod: Tensor) -> NoiseSchedule:
        """Make the schedule √ᾱ_t, √(1−ᾱ_t) (Ho et al. 2020, eq. 4); the last ᾱ may be exactly 0."""
        alphas = alphas_cumprod.float()
        return cls(torch.arange(len(alphas)), alphas.sqrt(), (1 - alphas).sqrt())

    @classmethod
    def of_flow(cls, times: int, shift: float) -> NoiseSchedule:
        """Make the schedule 1−σ, σ of the straight path from data to noise (Lipman et al. 2023).

        σ is uniform, then shifted towards noise for large pictures: sσ / (1 + (s−1)σ) (Esser et al.
        2024, arXiv 2403.03206, eq. 23).
        """
        sigma = torch.arange(1, times + 1) / times
        sigma = shift * sigma / (1 + (shift - 1) * sigma)
        return cls(sigma * times, 1 - sigma, sigma)

    def to(self, device: torch.device) -> NoiseSchedule:
        """Return the schedule on a device."""
        return NoiseSchedule(
            self.timesteps.to(device), self.signal.to(device), self.noise.to(device)
        )


class Autoencoder(Protocol):
    """Conversion between pixels and the latents of one denoiser."""

    module: nn.Module
    channels: int
    """Number of the latents' channels, C."""

    def latent_size(self, frames: int | None, size: tuple[int, int]) -> tuple[int, ...]:
        """Return (h,w) for a still of width and height `size`, or (F,h,w) for a clip.

        The clip's latents decode to `frames` frames or more.
        """
        ...

    def decode(self, latents: Tensor) -> Frames:
        """Decode the latents of one clip (1,C,F,h,w) or one still (1,C,h,w) to (F,H,W,3)."""
        ...

    def encode(self, pictures: Frames, size: tuple[int, int]) -> Tensor:
        """Encode stills (N,H,W,3) to (N,C,h,w), or clips (N,F,H,W,3) to (N,C,F,h,w).

        Pictures are resized to `size` first. The latents are the posterior's mean, not a sample:
        the same pictures give the same latents every time.
        """
        ...


class Denoiser(ABC):
    """A denoising network with its autoencoder and its noise scheduler.

    Latents are float32 whatever the weights' dtype: (B,C,F,h,w) for clips, (B,C,h,w) for stills.

    Args:
        network: predicts the noise, or what `prediction_type` says.
        autoencoder: decodes and encodes its latents.
        noise_scheduler: of the model's own configuration.
        size: width and height in pixels.
        placement: of the network and the autoencoder.
        dtype: the network's precision.
    """

    drops_padding = False
    """True if the network ignores padding tokens; their embeddings are set to zero."""

    def __init__(
        self,
        network: nn.Module,
        autoencoder: Autoencoder,
        noise_scheduler: Any,
        size: tuple[int, int],
        placement: Placement,
        dtype: torch.dtype,
    ) -> None:
        self.network: nn.Module = placement.put(network)
        self.autoencoder = autoencoder
        self.size = size
        self.placement = placement
        self.dtype = dtype
        self.prediction_type, schedule = _read_training(noise_scheduler)
        self.schedule: NoiseSchedule = schedule.to(placement.device)
        self._noise_scheduler = noise_scheduler
        placement.put(autoencoder.module)
        is_large = (
            sum(parameter.numel() for parameter in network.parameters())
            > DENOISER_CHECKPOINTING_MIN_PARAMETERS
        )
        if is_large and getattr(network, "_supports_gradient_checkpointing", False):
            # Only with gradients: a third more time, a fraction of the memory.
            cast(Any, network).enable_gradient_checkpointing()

    def noise_scheduler(self) -> SchedulerMixin:
        """Return a new noise scheduler. Each request needs its own, since it has state."""
        return type(self._noise_scheduler).from_config(self._noise_scheduler.config)

    def noise(self, seed: int, frames: int | None) -> Tensor:
        """Draw unit Gaussian noise for a clip, or for a still (`frames=None`), on the device.

        It is drawn on the CPU, so that a seed gives the same noise on every machine. The caller
        scales it by the noise scheduler's `init_noise_sigma`.
        """
        shape = self.autoencoder.latent_size(frames, self.size)
        generator = torch.Generator("cpu").manual_seed(seed)
        return self._draw(shape, generator).to(self.placement.device)

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn((1, self.autoencoder.channels, *shape), generator=generator)

    def predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        """Return the network's prediction (see `prediction_type`), float32, shaped as `latents`.

        Args:
            latents: (B,C,F,h,w) or (B,C,h,w).
            timesteps: (B,), one for each sample.
            embeddings: (B,L,D) of the text encoder. Gradients flow back to them.
        """
        self.placement.fetch(self.network)
        return self._predict(
            latents.to(self.dtype), timesteps.to(self.placement.device), embeddings.to(self.dtype)
        ).float()

    @abstractmethod
    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor, frames: int | None = None) -> Frames:
        """Decode the latents of one clip or still to (F,H,W,3).

        Args:
            latents: (1,C,F,h,w) or (1,C,h,w).
            frames: number of frames to return, since an autoencoder with several frames in one
                latent frame can make more. None for all.
        """
        if len(latents) != 1:
            raise ValueError(f"decode takes one clip or still at a time, not {len(latents)}")
        self.placement.fetch(self.autoencoder.module)
        with torch.no_grad():
            return self.autoencoder.decode(latents)[:frames]

    def encode(self, pictures: Frames) -> Tensor:
        """Encode stills (N,H,W,3), or for a video model clips (N,F,H,W,3), to latents."""
        self.placement.fetch(self.autoencoder.module)
        with torch.no_grad():
            return self.autoencoder.encode(pictures, self.size).to(self.placement.device)


def _read_training(noise_scheduler: Any) -> tuple[PredictionType, NoiseSchedule]:
    """Return the training's prediction type and schedule. Raises BackboneInvalid."""
    config = noise_scheduler.config
    kind = config.get("prediction_type") or "epsilon"
    if type(noise_scheduler).__name__.startswith("FlowMatch"):
        kind = "flow_prediction"
    if kind not in get_args(PredictionType):
        raise BackboneInvalid(
            f"The scheduler says that the denoiser predicts {kind!r}; "
            f"{', '.join(get_args(PredictionType))} are known."
        )
    if kind == "flow_prediction":
        shift = float(config.get("flow_shift") or config.get("shift") or 1.0)
        schedule = NoiseSchedule.of_flow(int(config["num_train_timesteps"]), shift)
    else:
        schedule = NoiseSchedule.of_alphas(noise_scheduler.alphas_cumprod)
    return cast(PredictionType, kind), schedule


class OneFrame(Denoiser):
    """A video denoiser as its own image twin: a still is a clip of one frame."""

    def __init__(self, video: Denoiser) -> None:
        self._video = video
        self.network = video.network
        self.autoencoder = video.autoencoder
        self.size = video.size
        self.placement = video.placement
        self.dtype = video.dtype
        self.prediction_type = video.prediction_type
        self.schedule = video.schedule
        self.drops_padding = video.drops_padding

    def noise_scheduler(self) -> SchedulerMixin:
        return self._video.noise_scheduler()

    def noise(self, seed: int, frames: int | None) -> Tensor:
        return self._video.noise(seed, 1).squeeze(2)

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        return self._video.predict(latents.unsqueeze(2), timesteps, embeddings).squeeze(2)

    def decode(self, latents: Tensor, frames: int | None = None) -> Frames:
        return self._video.decode(latents.unsqueeze(2), 1)

    def encode(self, pictures: Frames) -> Tensor:
        return self._video.encode(pictures[:, None]).squeeze(2)
