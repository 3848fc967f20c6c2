"""Training of the second video model: `python -m benchmarks.modelscope.train`.

An interrupted run continues from its last checkpoint. ModelScope's denoiser started from Stable
Diffusion's (Wang et al., arXiv 2308.06571). This one also starts as an image model, trained on
stills from random weights of its own; then temporal layers are added, and it is trained on clips.
Text encoder and autoencoder are the built-in model's, frozen. Nothing of the image twin or the
motion adapter is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
import typer
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.harness import WEIGHTS as STARTER
from benchmarks.modelscope.eight_bits import save_denoiser
from starter.train import data_parallel
from starter.train.clips import CLIP_TIMESTEPS, clip_noise, clip_odds, temporal_loss
from starter.train.data import Latents, latents_of
from starter.train.loop import TrainingPlan, mixed_precision, train
from starter.train.parts import new_scheduler
from starter.train.stills import captions_of, draw_timesteps, velocity_loss
from starter.train.text import tokens

WEIGHTS = Path(__file__).parent / "weights"
CHANNELS = (96, 160)
HEAD_WIDTH = 32
SHAPE: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 24,
    "out_channels": 24,
    "block_out_channels": CHANNELS,
    "layers_per_block": 1,
    "norm_num_groups": 16,
    "cross_attention_dim": 192,
}
SEED = 3  # different from every seed of the built-in model's training


def new_image_denoiser() -> UNet2DConditionModel:
    """Make an image denoiser whose parameters are the spatial ones of `new_video_denoiser`."""
    return UNet2DConditionModel(
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        attention_head_dim=cast(Any, tuple(width // HEAD_WIDTH for width in CHANNELS)),
        use_linear_projection=True,
        **SHAPE,
    )


def new_video_denoiser() -> UNet3DConditionModel:
    """Make an untrained denoiser of ModelScope's class, whose temporal layers change nothing."""
    unet = UNet3DConditionModel(
        down_block_types=("CrossAttnDownBlock3D",) * 2,
        up_block_types=("CrossAttnUpBlock3D",) * 2,
        attention_head_dim=HEAD_WIDTH,
        **SHAPE,
    )
    for name, parameter in unet.named_parameters():
        temporal = "temp_attentions" in name or name.startswith("transformer_in")
        if temporal and ".proj_out." in name:
            parameter.data.zero_()
    return unet


def main(
    work: Annotated[Path, typer.Option(help="Where checkpoints and latents are kept.")] = Path(
        ".work/modelscope"
    ),
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
    stills_steps: int = 3_200,
    clips_steps: int = 2_500,
    stills_count: int = 40_000,
    clips_count: int = 8_000,
) -> None:
    """Train on stills, then on clips, and write the denoiser in eight bits to `weights/`."""
    data_parallel.join()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(STARTER / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(STARTER / "text_encoder").requires_grad_(False)
    vae = AutoencoderKL.from_pretrained(STARTER / "vae", torch_dtype=torch.float32)
    stills = latents_of(vae, stills_count, 101, False, work / "stills.npy")
    clips = latents_of(vae, clips_count, 102, True, work / "clips.npy")
    torch.manual_seed(SEED)
    image = new_image_denoiser()
    _train(image, encoder, tokenizer, stills, work, "stills", stills_steps, batch=32)
    video = new_video_denoiser()
    video.load_state_dict(image.state_dict(), strict=False)
    _train(video, encoder, tokenizer, clips, work, "clips", clips_steps, batch=3)
    if data_parallel.rank() == 0:
        save_denoiser(video, WEIGHTS)
    data_parallel.wait()


def _train(
    unet: Any,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    data: Latents,
    work: Path,
    stage: str,
    steps: int,
    *,
    batch: int,
) -> None:
    """Train on the velocity of noised stills or clips; load the stage if it is finished."""
    modules = nn.ModuleDict({"unet": unet})
    finished = work / f"{stage}.pt"
    if finished.exists():
        modules.load_state_dict(torch.load(finished, weights_only=True))
        return
    # At these lengths, fused attention's backward pass takes three times the plain one's on a CPU.
    unet.set_attn_processor(AttnProcessor())
    scheduler: Any = new_scheduler()
    is_video = stage == "clips"
    loudness = data.take(np.arange(min(512, len(data.scenes)))).var(dim=(0, 1, 3, 4))
    odds = clip_odds(data.scenes) if is_video else None

    def loss_of(draw: int) -> Tensor:
        rng = np.random.default_rng((SEED, draw))
        indices = rng.choice(len(data.scenes), size=batch, p=odds)
        latents = data.take(indices)
        timesteps = draw_timesteps(rng, batch, *(CLIP_TIMESTEPS if is_video else ()))
        noise = clip_noise(latents) if is_video else torch.randn_like(latents)
        noised = scheduler.add_noise(latents, noise, timesteps)
        with torch.no_grad():
            text = encoder(tokens(tokenizer, captions_of(data, indices, rng))).last_hidden_state
        with mixed_precision():
            if not is_video:
                predicted = unet(noised[:, 0], timesteps, text).sample
                return velocity_loss(predicted, latents[:, 0], noise[:, 0], timesteps, scheduler)
            predicted = unet(noised.transpose(1, 2), timesteps, text).sample.transpose(1, 2)
        errors = predicted.float() - scheduler.get_velocity(latents, noise, timesteps)
        return errors.square().mean() + temporal_loss(errors, latents, loudness)

    plan = TrainingPlan(
        steps=steps, learning_rate=8e-4, average=0.9985, cooling=0.4, weight_decay=0.0
    )
    train(stage, modules, loss_of, plan, work)


if __name__ == "__main__":
    typer.run(main)
