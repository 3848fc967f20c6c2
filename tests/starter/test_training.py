"""The training loop resumes after an interruption, and a stage trains its own models only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from starter.scene import FRAMES
from starter.train import parts
from starter.train.autoencoder import new_autoencoder
from starter.train.clips import (
    FLICKER_WEIGHT,
    ODDS,
    TONE_NOISE,
    clip_noise,
    clip_odds,
    temporal_loss,
    train_clips,
)
from starter.train.data import latents_of, training_scenes
from starter.train.loop import TrainingPlan, train
from starter.train.release import load_release

WEIGHTS = Path(__file__).parents[2] / "starter" / "weights"
PLAN = TrainingPlan(steps=12, learning_rate=0.1, warmup=2, average=0.9)


class Interrupted(Exception):
    """Interruption of a run."""


def regression(work: Path, stop_at: int | None, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Train a small layer, with a checkpoint after every step."""
    monkeypatch.setattr("starter.train.loop.CHECKPOINT_SECONDS", 0.0)
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)

    def loss_of(draw: int) -> Tensor:
        if draw == stop_at:
            raise Interrupted
        inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(draw))
        return (layer(inputs) - inputs.sum(dim=1, keepdim=True)).pow(2).mean()

    train("layer", nn.ModuleDict({"layer": layer}), loss_of, PLAN, work)
    return layer.weight.detach()


def test_an_interrupted_run_ends_where_an_unbroken_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    whole = regression(tmp_path / "one", None, monkeypatch)
    with pytest.raises(Interrupted):
        regression(tmp_path / "two", 7, monkeypatch)
    resumed = regression(tmp_path / "two", None, monkeypatch)
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
    assert (tmp_path / "two" / "layer.pt").exists()


def test_what_strays_between_frames_counts_and_most_where_the_clip_holds_still() -> None:
    clips = torch.zeros(2, 5, 3, 4, 4)
    clips[0, 2, 1, 0, 3] = 1.0  # one place of the first clip changes, in one frame
    variance = torch.tensor([2.0, 1.0, 0.5])
    errors = torch.zeros_like(clips)
    errors[1] = torch.randn(3, 4, 4)  # wrong, but alike in all frames
    torch.testing.assert_close(temporal_loss(errors, clips, variance), torch.tensor(0.0))
    found = torch.zeros(3, 2)
    for channel in range(3):
        for place, (row, column) in enumerate([(2, 2), (0, 3)]):
            strayed = errors.clone()
            strayed[0, 1, channel, row, column] += 1.0
            found[channel, place] = temporal_loss(strayed, clips, variance)
    torch.testing.assert_close(found / found[1, 0], torch.outer(variance, torch.tensor([1.0, 0.3])))
    one = FLICKER_WEIGHT * (1 - 1 / 5) / clips.numel()  # square of 1 − 1/5, and four of 1/5
    torch.testing.assert_close(found[1, 0], one / variance.mean())


def test_the_noise_of_clips_shifts_the_tone_of_every_frame() -> None:
    torch.manual_seed(0)
    noise = clip_noise(torch.empty(20, FRAMES, 24, 8, 8))
    tones = noise.mean(dim=(3, 4))
    expected = (1 / 64 + TONE_NOISE**2) ** 0.5  # a mean of 64 values of deviation 1, and the tone
    assert abs(float(tones.std()) / expected - 1) < 0.05
    assert abs(float((noise - tones[..., None, None]).std()) - 1) < 0.02


def test_what_is_slow_to_learn_is_drawn_more_often() -> None:
    scenes = training_scenes(400, 3)
    odds = clip_odds(scenes)
    assert abs(odds.sum() - 1) < 1e-9
    by_motion = {scene.motion: share for scene, share in zip(scenes, odds, strict=True)}
    for motion in by_motion:
        assert by_motion[motion] / by_motion["sliding"] == pytest.approx(ODDS.get(motion, 1.0))
    assert by_motion["swaying"] > by_motion["spinning"] > by_motion["sliding"]


def test_the_clips_stage_trains_both_denoisers_and_leaves_the_text_encoder(tmp_path: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    encoder, unet = parts.new_text_encoder(tokenizer), parts.new_unet()
    adapter, vae = parts.new_motion_adapter(), new_autoencoder()
    load_release(WEIGHTS, encoder, vae, unet, adapter)
    clips = latents_of(vae, 2, 5, True, tmp_path / "clips.npy")
    stills = latents_of(vae, 2, 6, False, tmp_path / "stills.npy")
    assert clips.values.shape == (2, FRAMES, 24, 8, 8)
    assert stills.values.shape == (2, 1, 24, 8, 8)
    trained = {"unet": unet, "adapter": adapter}
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    moved = {name: [p.clone() for p in part.parameters()] for name, part in trained.items()}
    scheduler = parts.new_scheduler()
    train_clips(
        encoder, tokenizer, unet, adapter, scheduler, clips, stills, tmp_path, steps=2, clip_batch=1
    )
    assert before
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    for name, part in trained.items():
        changed = [
            not torch.equal(p, q) for p, q in zip(part.parameters(), moved[name], strict=True)
        ]
        assert sum(changed) > 0.9 * len(changed) > 0, name
