"""The training loop takes up what was interrupted, and a stage trains what it says and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from starter.scene import FRAMES
from starter.train import parts
from starter.train.autoencoder import new_autoencoder
from starter.train.clips import STILL_WEIGHT, stillness_weights, train_clips
from starter.train.data import latents_of
from starter.train.loop import Plan, train
from starter.train.release import load_release

WEIGHTS = Path(__file__).parents[2] / "starter" / "weights"
PLAN = Plan(steps=12, learning_rate=0.1, warmup=2, average=0.9)


class Interrupted(Exception):
    """What stops a run in its middle."""


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


def test_what_holds_still_weighs_more_by_how_loud_its_channel_is() -> None:
    clips = torch.zeros(2, 5, 3, 4, 4)
    clips[0, 2, 1, 0, 3] = 1.0  # one place of the first clip changes, in one frame
    loudness = torch.tensor([2.0, 1.0, 0.5])
    weights = stillness_weights(clips, loudness)
    assert weights.shape == clips.shape
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    moving, still = weights[0, 0, :, 0, 3], weights[0, 0, :, 1, 1]
    assert torch.equal(weights[0, 0], weights[0, 4])
    assert torch.equal(moving, moving[:1].expand(3))
    torch.testing.assert_close(still / moving, STILL_WEIGHT * loudness / loudness.mean())


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
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    for name, part in trained.items():
        changed = [
            not torch.equal(p, q) for p, q in zip(part.parameters(), moved[name], strict=True)
        ]
        assert sum(changed) > 0.9 * len(changed), name
