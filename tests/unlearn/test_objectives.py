"""Objectives, against the formulas of their papers written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from unlearn.methods import objectives
from video import load_backbone
from video.models.backbone import Backbone
from video.models.denoiser import Denoiser, NoiseSchedule


@pytest.fixture(params=["tiny_backbone_dir", "tiny_epsilon_dir"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    path: Path = request.getfixturevalue(request.param)
    return load_backbone(path)


@pytest.fixture
def denoiser(backbone: Backbone) -> Denoiser:
    return backbone.denoiser(is_video=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_and_target_agree_with_the_stock_scheduler(denoiser: Denoiser) -> None:
    latents = torch.randn(6, 4, 8, 8, generator=seeded(1))
    x = objectives.noised(denoiser, latents, seeded())
    replay = seeded()
    torch.randint(1000 - (denoiser.prediction_type == "epsilon") * 0, (6,), generator=replay)
    noise = torch.randn(latents.shape, generator=replay)
    scheduler: Any = denoiser.noise_scheduler()
    torch.testing.assert_close(x.latents, scheduler.add_noise(latents, noise, x.timesteps))
    if denoiser.prediction_type == "epsilon":
        torch.testing.assert_close(x.target, noise)
    else:
        torch.testing.assert_close(x.target, scheduler.get_velocity(latents, noise, x.timesteps))


def test_only_velocity_models_learn_from_pure_noise(denoiser: Denoiser) -> None:
    denoiser.schedule = NoiseSchedule.of_alphas(torch.tensor([0.5, 0.0, 0.0]))
    latents = torch.ones(64, 4, 2, 2)
    x = objectives.noised(denoiser, latents, seeded())
    if denoiser.prediction_type == "epsilon":
        assert (x.timesteps == 0).all()
    else:
        at_the_end = x.timesteps > 0
        assert at_the_end.any()
        torch.testing.assert_close(x.target[at_the_end], -latents[at_the_end])


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_goes_straight_from_data_to_noise(denoiser: Denoiser, shift: float) -> None:
    stock = FlowMatchEulerDiscreteScheduler(shift=shift)
    denoiser.prediction_type = "flow_prediction"
    denoiser.schedule = NoiseSchedule.of_flow(1000, shift)
    torch.testing.assert_close(denoiser.schedule.timesteps.flip(0), stock.timesteps)
    latents = torch.randn(16, 4, 2, 2, generator=seeded(1))
    x = objectives.noised(denoiser, latents, seeded())
    sigma = (x.timesteps / 1000).view(-1, 1, 1, 1)
    assert sigma.unique().numel() > 10
    torch.testing.assert_close(x.latents - sigma * x.target, latents)  # back along the velocity
    noise = x.latents + (1 - sigma) * x.target
    torch.testing.assert_close(x.latents, stock.scale_noise(latents, x.timesteps, noise))


@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (1, 4, 3, 8, 8)], ids=["stills", "clips"])
def test_ascent_is_minus_the_diffusion_loss(backbone: Backbone, shape: tuple[int, ...]) -> None:
    denoiser = backbone.denoiser(is_video=len(shape) == 5)
    x = objectives.noised(denoiser, torch.randn(shape, generator=seeded(1)), seeded())
    embeddings = backbone.embed(["pogo at night"] * shape[0])
    error = denoiser.predict(x.latents, x.timesteps, embeddings) - x.target
    loss = objectives.ascent(denoiser, x, embeddings)
    torch.testing.assert_close(loss, -(error**2).mean())


def test_redirection_is_the_mean_square() -> None:
    a, b = torch.zeros(2, 3, 4), torch.full((2, 3, 4), 2.0)
    assert objectives.redirect(a, b) == 4.0
    assert objectives.redirect(a.bfloat16(), b.bfloat16()).dtype == torch.float32


def test_of_two_drifts_with_equal_means_the_one_on_a_single_word_counts_more() -> None:
    then = torch.ones(2, 4, 8)
    now = then.clone()
    now[0] += 0.5  # a quarter on each of four tokens
    now[1, 2] += 1.0  # all of it on one
    assert objectives.drift(now, then).tolist() == [0.25 + 0.25, 0.25 + 1.0]
    assert objectives.drift(now.bfloat16(), then.bfloat16()).dtype == torch.float32


def test_a_drift_is_in_proportion_to_the_square_of_the_embeddings_scale() -> None:
    then, now = torch.randn(2, 3, 5, 8)
    torch.testing.assert_close(
        objectives.drift(0.1 * now, 0.1 * then), 0.01 * objectives.drift(now, then)
    )


def test_rows_that_are_not_read_count_all_terms_less_alike() -> None:
    then, now = torch.randn(2, 3, 5, 8)
    padded = [torch.nn.functional.pad(one, (0, 0, 0, 15)) for one in (now, then)]
    torch.testing.assert_close(objectives.drift(*padded), objectives.drift(now, then) / 4)
