"""Loading a model by its name, whichever family it is of."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from video.checkpoints.diffusers_directory import ModelFiles, read_index
from video.checkpoints.hub import resolve_model
from video.families import FAMILIES, Family
from video.families.options import Options
from video.models.backbone import Backbone, BackboneInvalid
from video.models.placement import Placement

if TYPE_CHECKING:
    from encoders.text_encoder import TextEncoder


def load_backbone(
    source: Path | str,
    *,
    name: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    offload: bool = False,
    **options: Any,
) -> Backbone:
    """Loads a model, whichever family it is of.

    Args:
        source: a diffusers model directory (`model_index.json` and a folder a component), a Hub id,
            or `bentoml:<tag>`.
        name: what the model is called in requests; the directory's or the Hub id's last part by
            default.
        device: where it shall run.
        dtype: what its denoiser shall be computed in; float32 by default.
        offload: keep what is not in use in main memory.
        options: `video.families.options.Options`' others.

    Raises:
        BackboneInvalid: no such model, no such family, a component missing, or weights not in
            safetensors.
    """
    files, family = _found(source, bool(options.get("pickles")))
    chosen = Options(
        name=name or name_of(source),
        placement=Placement(device, offloads=offload),
        dtype=dtype or torch.float32,
        **options,
    )
    backbone: Backbone = import_module(family.module).load(files, chosen)
    backbone.sources = (files.directory, *chosen.sources)
    return backbone


def load_text_encoder(source: Path | str, *, pickles: bool = False) -> TextEncoder:
    """A model's base text encoder by itself, on the CPU and as precise as it is stored.

    Raises:
        BackboneInvalid: as `load_backbone`.
    """
    files, family = _found(source, pickles)
    options = Options(name="", pickles=pickles, keeps_text_precision=True)
    return import_module(family.module).load_text_encoder(files, options)[1]


def name_of(source: Path | str) -> str:
    """What a model is called if nobody says: the last part of where it comes from."""
    last = str(source).removeprefix("bentoml:").rstrip("/").split("/")[-1]
    return last.partition("@")[0].partition(":")[0] or "model"


def _found(source: Path | str, pickles: bool) -> tuple[ModelFiles, Family]:
    index = read_index(resolve_model(source, [], pickles=pickles))
    for family in FAMILIES:
        if family.holds(index):
            folders = import_module(family.module).FOLDERS
            return ModelFiles(source, folders, pickles=pickles), family
    known = ", ".join(dict.fromkeys(p for family in FAMILIES for p in family.pipelines))
    raise BackboneInvalid(
        f"{source} is a {index.get('_class_name')!r}; the pipelines that can be loaded are: "
        f"{known}."
    )
