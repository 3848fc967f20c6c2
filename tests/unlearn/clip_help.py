"""Helpers for the tests of the CLIP judge: frames, and a tiny CLIP that sees three colours."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from unlearn.judges.clip_prompts import PLAIN, labels_for
from video.models.prompt_book import PromptBook

NO_BOOK = PromptBook()
COLOURS = {"red": (220, 20, 30), "blue": (20, 40, 220), "grey": (128, 128, 128)}
COLOUR_BOOK = PromptBook(concepts={"object": {"red": (), "blue": ()}})


def noise(frames: int, height: int = 32, width: int = 32) -> np.ndarray:
    shape = (frames, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def of_colour(colour: str, frames: int, seed: int) -> np.ndarray:
    """Make grainy frames, each of a shade close to the colour."""
    rng = np.random.default_rng(seed)
    shade = COLOURS[colour] + rng.normal(0, 6, (frames, 1, 1, 3))
    return np.clip(shade + rng.normal(0, 8, (frames, 40, 56, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def seeing_dir(tiny_clip_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit the tiny CLIP's projections and scale to tell red, blue and grey frames apart."""
    directory = tmp_path_factory.mktemp("seeing")
    shutil.copytree(tiny_clip_dir, directory, dirs_exist_ok=True)
    clip = CLIPModel.from_pretrained(directory).eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(directory)
    processor = CLIPImageProcessorPil.from_pretrained(directory)
    wanted = [clip.visual_projection.weight, clip.text_projection.weight, clip.logit_scale]
    for parameter in wanted:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(wanted, lr=0.02)
    labels = labels_for("red", "object", ["blue"], COLOUR_BOOK)
    red, thing, plain, blue = range(4)
    assert labels[plain] == PLAIN
    assert "a photo of a thing." in labels[thing]
    frames = np.concatenate([of_colour(colour, 16, seed=1) for colour in COLOURS])
    # A grey frame is as much a thing as a picture.
    goal = torch.zeros(48, 4)
    goal[:16, red] = goal[16:32, blue] = 1
    goal[32:, [thing, plain]] = 0.5
    pixels = processor(list(frames), return_tensors="pt", input_data_format="channels_last")
    tokens = [tokenizer(list(each), padding=True, return_tensors="pt") for each in labels]
    for _ in range(60):
        texts = torch.stack(
            [
                functional.normalize(clip.get_text_features(**each).pooler_output, dim=-1).mean(0)
                for each in tokens
            ]
        )
        images = clip.get_image_features(**pixels).pooler_output
        cosines = functional.normalize(images, dim=-1) @ functional.normalize(texts, dim=-1).T
        loss = functional.cross_entropy(clip.logit_scale.exp() * cosines, goal)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    clip.save_pretrained(directory)
    return directory
