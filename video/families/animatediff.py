"""AnimateDiff family: a Stable Diffusion 1.x image model with a motion adapter.

The image U-Net is the twin for unlearning. The video model is that U-Net with temporal layers in
between. Both hold the same tensors, so that a backbone stores the U-Net once.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter, UNetMotionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles, load_weights
from video.checkpoints.hub import resolve_model
from video.errors import BackboneInvalid
from video.families.backbone_parts import backbone_parts
from video.families.options import Options, clip_size
from video.families.stable_diffusion import StableDiffusion, native_side
from video.families.twin import load_twin
from video.models.attention import SharedText
from video.models.autoencoder import FrameAutoencoder
from video.models.denoiser import Denoiser
from video.models.native import NativeBackbone
from video.models.placement import Placement
from video.models.tokens import Tokens

FOLDERS = ("tokenizer", "text_encoder", "vae", "unet", "scheduler", "motion_adapter")
MOTION_ADAPTER = "guoyww/animatediff-motion-adapter-v1-5-2"
"""Adapter for an image model without one: Stable Diffusion 1.5 or a model derived from it."""
DEFAULTS: dict[str, Any] = {"frames_default": 16, "steps_default": 25, "guidance_default": 7.5}
"""Defaults of AnimateDiff, for an image model without a prompt book."""


class AnimateDiff(Denoiser):
    """`UNetMotionModel` that shares the tensors of the image U-Net and the motion adapter."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        adapter: MotionAdapter,
        autoencoder: FrameAutoencoder,
        noise_scheduler: Any,
        size: tuple[int, int],
        placement: Placement,
        dtype: torch.dtype,
    ) -> None:
        network = motion_unet(unet, placement.put(adapter))
        super().__init__(network, autoencoder, noise_scheduler, size, placement, dtype)
        # oneDNN's convolutions are faster in this layout. The image denoiser shares the tensors.
        network.to(memory_format=torch.channels_last)

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        unet: Any = self.network
        return unet(latents, timesteps, encoder_hidden_states=embeddings).sample


def motion_unet(unet: UNet2DConditionModel, adapter: MotionAdapter) -> Any:
    """Return the stock motion U-Net with the tensors of `unet` and `adapter` themselves, no copies.

    It takes a prompt's embedding once for all frames of a clip.

    Raises:
        BackboneInvalid: the adapter was made for a U-Net of another shape.
    """
    with torch.device("meta"):  # shapes only: the tensors are set below
        motion = cast(Any, UNetMotionModel.from_unet2d(unet, adapter, load_weights=False))
    tensors = {**_tensors(adapter), **_tensors(unet)}
    for name, placeholder in _tensors(motion).items():
        tensor = tensors.get(name)
        if tensor is None or tensor.shape != placeholder.shape:
            raise BackboneInvalid(f"the motion adapter does not fit the U-Net at {name}")
        owner, _, leaf = name.rpartition(".")
        setattr(motion.get_submodule(owner), leaf, tensor)
    motion.set_attn_processor(SharedText())
    return motion.eval()


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def load_text_encoder(files: ModelFiles, options: Options) -> tuple[Tokens, TextEncoder]:
    """Load the tokenizer and CLIP's text model. Raises BackboneInvalid.

    In float32: it runs once a request, and the changes that an encoder makes are small.
    """
    tokenizer = files.tokenizer("CLIPTokenizer", "CLIPTokenizerFast")
    module = files.load("text_encoder", CLIPTextModel, torch.float32)
    tokens = Tokens(tokenizer, int(tokenizer.model_max_length))
    return tokens, options.text_encoder(module)


def load(files: ModelFiles, options: Options) -> NativeBackbone:
    """Load an AnimateDiff pipeline, or a Stable Diffusion pipeline and a separate motion adapter.

    Raises:
        BackboneInvalid: a component is missing, has another class, lacks weights or has pickled
            ones; or the adapter does not fit.
    """
    tokens, text_encoder = load_text_encoder(files, options)
    dtype, placement = options.dtype, options.placement
    # In float32, too: the autoencoder's rounding errors would flicker from frame to frame.
    autoencoder = FrameAutoencoder(files.load("vae", AutoencoderKL, torch.float32))
    unet: UNet2DConditionModel = files.load("unet", UNet2DConditionModel, dtype)
    adapter, noise_scheduler = _motion(files, options)
    image = StableDiffusion(unet, autoencoder, files.noise_scheduler(), placement, dtype)
    side = native_side(unet, autoencoder)
    multiple = autoencoder.shrinks * 2 ** (len(cast(Any, unet).config.block_out_channels) - 1)
    size = clip_size(options, (side, side), multiple)
    video = AnimateDiff(unet, adapter, autoencoder, noise_scheduler, size, placement, dtype)
    frames_max = int(cast(Any, adapter).config.motion_max_seq_length)
    defaults = DEFAULTS if files.pipeline == "StableDiffusionPipeline" else {}
    return NativeBackbone(
        backbone_parts(
            files, options, tokens, text_encoder, size, {**defaults, "frames_max": frames_max}
        ),
        video=video,
        image=load_twin(options.twin, video, text_encoder, options) if options.twin else image,
    )


def _motion(files: ModelFiles, options: Options) -> tuple[MotionAdapter, Any]:
    """Load the motion adapter, and the noise scheduler for clips."""
    if options.motion_adapter is None and files.pipeline == "AnimateDiffPipeline":
        return files.load("motion_adapter", MotionAdapter, options.dtype), files.noise_scheduler()
    directory = resolve_model(
        options.motion_adapter or MOTION_ADAPTER, [""], pickles=options.pickles
    )
    options.sources.append(directory)
    adapter = load_weights(MotionAdapter, directory, options.dtype, pickles=options.pickles)
    # Adapters were trained on a linear noise schedule, whatever the image model's is.
    return adapter, DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="linear",
        clip_sample=False,
        timestep_spacing="linspace",
        steps_offset=1,
    )
