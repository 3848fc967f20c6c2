"""The committed model: stock pipelines load and run it, with exactly the files' tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from starter.scene import DRAWINGS, sample_scene
from starter.train.autoencoder import new_autoencoder, patch_components, solve_encoder
from starter.train.judge import accuracy
from unlearn.judges.classifier import ClassifierJudge

WEIGHTS = Path(__file__).parents[2] / "starter" / "weights"

STOCK = """
import json, sys
import torch
from diffusers import AnimateDiffPipeline, StableDiffusionPipeline
from safetensors.torch import load_file

root = sys.argv[1]

def same(module, path, rename=lambda name: name):
    held = {rename(k): v for k, v in module.state_dict().items()}
    filed = load_file(f"{root}/{path}")
    missing = sorted(set(filed) - set(held))
    assert not missing, missing[:3]
    assert all(torch.equal(held[k].half(), v.half()) for k, v in filed.items())
    return len(filed)

video = AnimateDiffPipeline.from_pretrained(root)
clip = video("pogo bouncing in a meadow", num_frames=12, num_inference_steps=2, output_type="np")
assert clip.frames.shape == (1, 12, 64, 64, 3), clip.frames.shape
image = StableDiffusionPipeline.from_pretrained(root)
still = image("pogo in a meadow", num_inference_steps=2, output_type="np")
assert still.images.shape == (1, 64, 64, 3), still.images.shape

counts = [
    same(image.unet, "unet/diffusion_pytorch_model.safetensors"),
    same(video.unet, "unet/diffusion_pytorch_model.safetensors"),
    same(video.unet, "motion_adapter/diffusion_pytorch_model.safetensors"),
    same(image.vae, "vae/diffusion_pytorch_model.safetensors"),
    same(video.vae, "vae/diffusion_pytorch_model.safetensors"),
]
filed = load_file(f"{root}/text_encoder/model.safetensors")
for pipeline in (image, video):
    held = pipeline.text_encoder.state_dict()
    bare = {k.removeprefix("text_model."): v for k, v in held.items()}
    stored = {k.removeprefix("text_model."): v for k, v in filed.items()}
    assert len(stored) > 20
    assert set(stored) <= set(bare)
    assert all(torch.equal(bare[k].half(), v.half()) for k, v in stored.items())
ours = {"encoders", "video", "unlearn", "server", "starter", "service"} & set(sys.modules)
assert not ours, ours
print(json.dumps(counts))
"""


def test_stock_pipelines_load_and_run_the_directory_without_our_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOCK, str(WEIGHTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert min(json.loads(done.stdout.splitlines()[-1])) > 20
    assert "randomly" not in done.stderr
    assert "newly initialized" not in done.stderr


def test_all_of_it_is_at_most_40_megabytes_of_safetensors_and_text() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40 * 10**6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt", ".md"}


def test_the_encoder_is_the_principal_components_of_patches() -> None:
    images = torch.rand(40, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows, offsets, _ = patch_components(images)
    model = new_autoencoder()
    solve_encoder(model, rows, offsets)
    with torch.no_grad():
        latents = model.encode(images[:4]).latent_dist.mode()
    patches = torch.nn.functional.unfold(images[:4], 8, stride=8).transpose(1, 2)
    expected = (patches @ rows.T + offsets).transpose(1, 2).view(4, -1, 8, 8)
    torch.testing.assert_close(latents, expected, atol=1e-3, rtol=0)


def test_the_judge_reads_renders_it_never_saw() -> None:
    judge = ClassifierJudge.load(WEIGHTS / "judge")
    assert judge.labels["character"] == list(DRAWINGS["character"])
    rng = np.random.default_rng(4242)
    scenes = [sample_scene(rng) for _ in range(240)]
    assert np.mean(accuracy(judge, scenes, "subject", rough=False)) >= 0.975
    assert np.mean(accuracy(judge, scenes, "style", rough=False)) >= 0.975
    assert np.mean(accuracy(judge, scenes[:80], "motion", rough=False)) >= 0.95
