"""Tiny random models of every family, saved by stock diffusers as a user's models are.

They are built in a second and run in milliseconds. They draw nothing recognisable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tests import tiny, tiny_native, tiny_pipelines, tiny_twins


def build(family: str, directory: Path) -> Path:
    """Write a model of a family; the same bytes every time."""
    return _write(BUILDERS[family], directory)


def build_twin(family: str, directory: Path) -> Path:
    """Write the image twin of a family, with the same text encoder."""
    return _write(TWINS[family], directory)


def _write(make: Callable[[], Any], directory: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(directory)
    book = {**tiny.PROMPTS, "defaults": {"steps": 2, "frames": 4}}
    (directory / "prompts.json").write_text(json.dumps(book))
    return directory


BUILDERS: Mapping[str, Callable[[], Any]] = {
    "modelscope": tiny_native.modelscope,
    "cogvideox": tiny_native.cogvideox,
    "cogvideox-5b": tiny_native.cogvideox_5b,
    "cogvideox-1.5": tiny_native.cogvideox_1_5,
    "wan": tiny_native.wan,
    "wan-2.2": tiny_pipelines.wan_2_2,
    "ltx": tiny_pipelines.ltx,
    "latte": tiny_pipelines.latte,
    "mochi": tiny_pipelines.mochi,
}
TWINS: Mapping[str, Callable[[], Any]] = {
    "modelscope": tiny_twins.stable_diffusion_2,
    "cogvideox": tiny_twins.pixart,
    "cogvideox-5b": tiny_twins.pixart,
    "cogvideox-1.5": tiny_twins.pixart,
}
