"""Stage 1: the autoencoder, 64×64 pixels to 8×8 positions of 24 channels.

If both are trained from scratch, encoder and decoder need thousands of steps to agree. So the
encoder is solved: inside the stock class, it is set to the principal components of 8×8 patches,
exactly. Only the decoder is trained, and it can be trained further beside the other stages, because
the latents no longer change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from starter.scene import sample_scene
from starter.train.loop import TrainingPlan, mixed_precision, train

LATENT_CHANNELS = 24
CHANNELS = (24, 48, 96, 128)
GROUPS = 4
PATCH = 8


def new_autoencoder() -> AutoencoderKL:
    """Build the stock class at a size that two cores can train; residual branches start at zero."""
    stock: Any = AutoencoderKL  # its annotations allow only tuples of one element
    model = stock(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=GROUPS,
        sample_size=64,
    )
    for name, parameter in model.named_parameters():
        if ".conv2." in name or ".to_out." in name:
            parameter.data.zero_()
    return model


def to_tensor(frames: NDArray[np.uint8]) -> Tensor:
    """Convert uint8 frames (…, H, W, 3) to floats in -1…1, (…, 3, H, W)."""
    return torch.from_numpy(frames).movedim(-1, -3).float() / 127.5 - 1


def rendered_batch(draw: int, size: int) -> Tensor:
    """Render random frames of the world, (size, 3, 64, 64) in -1…1; `draw` is the seed."""
    rng = np.random.default_rng((11, draw))
    return to_tensor(np.stack([sample_scene(rng).frame(rng.random()) for _ in range(size)]))


def patch_components(images: Tensor) -> tuple[Tensor, Tensor, float]:
    """Compute principal components of 8×8 patches: rows (24, 192), offsets (24,), variance kept.

    Rows are scaled so that a component of variance λ has a standard deviation of λ^¼. This lies
    between plain projection (detail is lost in noise) and whitening (detail counts as much as the
    layout).
    """
    patches = F.unfold(images, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH**2)
    mean = patches.mean(dim=0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    values, vectors = values.flip(0)[:LATENT_CHANNELS], vectors.flip(1)[:, :LATENT_CHANNELS]
    kept = float(values.sum() / (patches - mean).pow(2).sum(dim=1).mean())
    rows = vectors.T * values.pow(-0.25)[:, None]
    return rows, -rows @ mean, kept


@torch.no_grad()
def solve_encoder(model: Any, rows: Tensor, offsets: Tensor) -> None:
    """Set the encoder's weights so that it computes exactly `latents = rows @ patch + offsets`.

    The stride-2 convolutions gather the patch; the last of them projects it. The norm and the SiLU
    before the output are neutralised: every value is carried as the pair (x, −x), for which
    SiLU(x) − SiLU(−x) = x, and large constants of both signs fill the rest of each norm group, so
    that its standard deviation hardly depends on the image.
    """
    encoder = model.encoder
    for parameter in encoder.parameters():
        parameter.zero_()
    encoder.conv_in.weight[:3, :, 1, 1] = torch.eye(3)
    width = 3
    for level in (0, 1):  # gather 2×2 neighbours into channels: 3 → 12 → 48
        down = encoder.down_blocks[level].downsamplers[0].conv
        for dy in (0, 1):
            for dx in (0, 1):
                first = (dy * 2 + dx) * width
                down.weight[first : first + width, :width, dy, dx] = torch.eye(width)
        width *= 4
        shortcut = encoder.down_blocks[level + 1].resnets[0].conv_shortcut
        shortcut.weight[:width, :width, 0, 0] = torch.eye(width)
    # rows are ordered (colour, y, x); gathered channels (y1 x1)(y0 x0)(colour)
    grid = rows.view(-1, 3, 2, 2, 2, 2, 2, 2)  # colour, y2 y1 y0, x2 x1 x0 (2: coarsest)
    last = encoder.down_blocks[2].downsamplers[0].conv
    count = len(rows)
    for dy in (0, 1):
        for dx in (0, 1):
            taps = grid[:, :, dy, :, :, dx]  # row, colour, y1, y0, x1, x0
            taps = taps.permute(0, 2, 4, 3, 5, 1).reshape(count, 48)
            last.weight[:count, :48, dy, dx] = taps
    last.bias[:count] = offsets
    shortcut = encoder.down_blocks[3].resnets[0].conv_shortcut
    norm, out = encoder.conv_norm_out, encoder.conv_out
    group = CHANNELS[-1] // GROUPS
    each = count // GROUPS
    loud = 300.0
    for g in range(GROUPS):
        base = g * group
        for i in range(each):
            row = g * each + i
            shortcut.weight[base + 2 * i, row, 0, 0] = 1.0
            shortcut.weight[base + 2 * i + 1, row, 0, 0] = -1.0
            out.weight[row, base + 2 * i, 1, 1] = 1.0
            out.weight[row, base + 2 * i + 1, 1, 1] = -1.0
        signs = torch.tensor([1.0, -1.0]).repeat((group - 2 * each) // 2)
        shortcut.bias[base + 2 * each : base + group] = loud * signs
        norm.weight[base : base + 2 * each] = loud * ((group - 2 * each) / group) ** 0.5
    out.bias[count:] = -12.0  # log-variance: almost none
    model.quant_conv.weight[:, :, 0, 0] = torch.eye(2 * count)
    model.quant_conv.bias.zero_()


@torch.no_grad()
def solve_scale(model: Any, images: Tensor) -> None:
    """Set the scaling factor that gives latents unit standard deviation."""
    deviation = float(model.encode(images).latent_dist.mode().std())
    model.register_to_config(scaling_factor=round(1 / deviation, 5))


def new_solved_autoencoder() -> AutoencoderKL:
    """Build the autoencoder, its encoder solved on 2,048 frames, its decoder untrained."""
    torch.manual_seed(0)
    model = new_autoencoder()
    images = torch.cat([rendered_batch(2_000_000 + i, 64) for i in range(32)])
    rows, offsets, kept = patch_components(images)
    solve_encoder(model, rows, offsets)
    solve_scale(model, images[:256])
    print(f"autoencoder: {LATENT_CHANNELS} components keep {kept:.1%} of the variance", flush=True)
    return model


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Add L1 and MSE of pixels, and L1 of differences of neighbours, which keeps lines crisp."""
    right = F.l1_loss(output.diff(dim=3), target.diff(dim=3))
    down = F.l1_loss(output.diff(dim=2), target.diff(dim=2))
    return F.l1_loss(output, target) + F.mse_loss(output, target) + right + down


def freeze_encoder(model: Any) -> None:
    """Freeze the encoder, so that existing latents stay valid."""
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)


def train_decoder(model: Any, work: Path, steps: int, batch: int = 16) -> None:
    """Train the decoder alone, on slightly noisy latents: a denoiser's are never perfect."""
    freeze_encoder(model)

    def loss_of(draw: int) -> Tensor:
        images = rendered_batch(draw, batch)
        with torch.no_grad():
            latents = model.encode(images).latent_dist.mode()
            noise = 0.06 / model.config["scaling_factor"] * torch.rand(batch, 1, 1, 1)
            latents = latents + noise * torch.randn_like(latents)
        with mixed_precision():
            output = model.decode(latents).sample
        return reconstruction_loss(output.float(), images)

    plan = TrainingPlan(steps=steps, learning_rate=1e-3, average=0.998, weight_decay=0.0)
    train("decoder", nn.ModuleDict({"vae": model}), loss_of, plan, work)
