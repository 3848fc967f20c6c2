"""Loading of a model, whichever family it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles, read_index
from video.checkpoints.hub import resolve_model
from video.errors import BackboneInvalid
from video.families import FAMILIES, Family
from video.families.options import Options
from video.families.protocol import family_module
from video.models.backbone import Backbone
from video.models.placement import Placement


def load_backbone(
    source: Path | str,
    *,
    name: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    offload: bool = False,
    **options: Any,
) -> Backbone:
    """Load a model, whichever family it belongs to.

    Args:
        source: a diffusers model directory (`model_index.json` and a folder for each component), a
            Hub id, or `bentoml:<tag>`.
        name: the model's name in requests; by default the last part of the directory or Hub id.
        device: the device to compute on.
        dtype: the denoiser's precision; float32 by default.
        offload: keep components in main memory while they are not used.
        options: further fields of `video.families.options.Options`.

    Raises:
        BackboneInvalid: the model does not exist, its family is unknown, a component is missing, or
            weights are pickled.
    """
    files, family = _find(source, bool(options.get("pickles")))
    chosen = Options(
        name=name or name_of(source),
        placement=Placement(device, offloads=offload),
        dtype=dtype or torch.float32,
        **options,
    )
    backbone = family_module(family).load(files, chosen)
    backbone.sources = (files.directory, *chosen.sources)
    return backbone


def load_text_encoder(source: Path | str, *, pickles: bool = False) -> TextEncoder:
    """Load a model's text encoder alone, on the CPU and in its stored precision.

    Raises:
        BackboneInvalid: as in `load_backbone`.
    """
    files, family = _find(source, pickles)
    options = Options(name="", pickles=pickles, keeps_text_precision=True)
    return family_module(family).load_text_encoder(files, options)[1]


def name_of(source: Path | str) -> str:
    """Return a model's default name: the last part of its source."""
    last = str(source).removeprefix("bentoml:").rstrip("/").split("/")[-1]
    return last.partition("@")[0].partition(":")[0] or "model"


def _find(source: Path | str, pickles: bool) -> tuple[ModelFiles, Family]:
    index = read_index(resolve_model(source, [], pickles=pickles))
    for family in FAMILIES:
        if family.holds(index):
            folders = family_module(family).FOLDERS
            return ModelFiles(source, folders, pickles=pickles), family
    known = ", ".join(dict.fromkeys(p for family in FAMILIES for p in family.pipelines))
    raise BackboneInvalid(
        f"{source} is a {index.get('_class_name')!r}; the pipelines that can be loaded are: "
        f"{known}."
    )
