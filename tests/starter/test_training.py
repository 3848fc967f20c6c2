"""The training loop takes up what was interrupted, and a stage trains what it says and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from starter.train import parts
from starter.train.autoencoder import new_autoencoder, to_tensor
from starter.train.data import latents_of
from starter.train.finish import train_finish
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


def test_the_finish_trains_the_decoder_and_leaves_every_latent_as_it_was(tmp_path: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    encoder, unet = parts.new_text_encoder(tokenizer), parts.new_unet()
    adapter, vae = parts.new_motion_adapter(), new_autoencoder()
    load_release(WEIGHTS, encoder, vae, unet, adapter)
    clips = latents_of(vae, 2, 5, True, tmp_path / "clips.npy")
    frames = to_tensor(clips.scenes[0].clip(2))
    parts_before = {
        name: {k: v.clone() for k, v in part.state_dict().items()}
        for name, part in {"encoder": encoder, "unet": unet, "adapter": adapter}.items()
    }
    with torch.no_grad():
        latents, picture = vae.encode(frames).latent_dist.mode(), vae(frames).sample
    train_finish(
        vae, encoder, tokenizer, unet, adapter, parts.new_scheduler(), clips, tmp_path, steps=2
    )
    with torch.no_grad():
        assert torch.equal(vae.encode(frames).latent_dist.mode(), latents)
        assert not torch.equal(vae(frames).sample, picture)
    for name, part in {"encoder": encoder, "unet": unet, "adapter": adapter}.items():
        assert all(torch.equal(v, parts_before[name][k]) for k, v in part.state_dict().items())
