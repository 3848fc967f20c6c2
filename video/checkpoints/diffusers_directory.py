"""A model's directory in the layout of diffusers: an index, and a folder for each component."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import diffusers
import torch
import transformers
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from transformers import PreTrainedModel

from video.checkpoints.hub import resolve_model
from video.errors import BackboneInvalid

Precision = torch.dtype | Literal["auto"]
"""Precision to load weights in; "auto" keeps the stored one, for models of transformers only."""


def read_index(directory: Path) -> dict[str, Any]:
    """Read a directory's `model_index.json`. Raises BackboneInvalid if it cannot be read."""
    return _read_json(directory / "model_index.json")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise BackboneInvalid(
            f"{file} cannot be read ({error}); a model is a diffusers directory."
        ) from error


class ModelFiles:
    """A model's directory, and the loading of its components.

    Each component is loaded with a given class, and no weight is left at its random start.

    Args:
        source: see `video.checkpoints.hub.resolve_model`.
        folders: components that may be loaded.
        pickles: allow pickled weights. They are read as tensors only (`weights_only`), but that
            code has had flaws; safetensors cannot hold anything but tensors.
    """

    def __init__(
        self, source: str | Path, folders: Sequence[str], *, pickles: bool = False
    ) -> None:
        self.directory = resolve_model(source, folders, pickles=pickles)
        self.index = read_index(self.directory)
        self._pickles = pickles

    @property
    def pipeline(self) -> str:
        """Class of the pipeline that the model was saved from."""
        return str(self.index.get("_class_name"))

    def kind(self, component: str) -> str | None:
        """Return the class of a component by the index; None if the model lacks it."""
        entry = self.index.get(component)
        return str(entry[-1]) if isinstance(entry, list) and entry[-1] else None

    def config(self, component: str) -> dict[str, Any]:
        """Read a component's `config.json`. Raises BackboneInvalid."""
        return _read_json(self.directory / component / "config.json")

    def load(self, component: str, kind: Any, dtype: Precision) -> Any:
        """Load a component of class `kind`, in a precision.

        Raises:
            BackboneInvalid: it is missing, has another class, lacks weights or has pickled ones.
        """
        self.require(component, kind.__name__)
        return load_weights(kind, self.directory / component, dtype, pickles=self._pickles)

    def require(self, component: str, *kinds: str) -> str:
        """Return the class of a component. Raises BackboneInvalid unless it is one of `kinds`."""
        found = self.kind(component)
        if found not in kinds:
            raise BackboneInvalid(
                f"{self.directory}: {component} must be a {' or '.join(kinds)}, not {found}."
            )
        return found

    def tokenizer(self, *kinds: str) -> Any:
        """Load the tokenizer, whose class is one of `kinds`. Raises BackboneInvalid."""
        self.require("tokenizer", *kinds)
        directory = self.directory / "tokenizer"
        with _explain_errors(directory):
            found = getattr(transformers, kinds[0]).from_pretrained(
                directory, local_files_only=True
            )
        # Without the file of its vocabulary a tokenizer still loads, with hardly any tokens.
        if 8 * len(found) < int(self.config("text_encoder").get("vocab_size", 0)):
            raise BackboneInvalid(
                f"{directory} has {len(found)} tokens, the text encoder many more: its vocabulary "
                "(tokenizer.json, vocab.json or spiece.model) is missing."
            )
        return found

    def noise_scheduler(self) -> Any:
        """Load the noise scheduler, of any class of diffusers. Raises BackboneInvalid."""
        found = getattr(diffusers, str(self.kind("scheduler")), None)
        if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
            raise BackboneInvalid(f"{self.directory}: scheduler is no diffusers scheduler.")
        with _explain_errors(self.directory / "scheduler"):
            return cast(Any, found).from_pretrained(self.directory / "scheduler")


def load_weights(kind: Any, directory: Path, dtype: Precision, *, pickles: bool = False) -> Any:
    """Call `kind.from_pretrained`, and refuse a model with weights left at their random start.

    Raises:
        BackboneInvalid: weights are missing or have another shape, or they are pickled and
            `pickles` is false.
    """
    options: dict[str, Any] = {
        "dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype": dtype,
        "use_safetensors": None if pickles else True,
        "local_files_only": True,
        "output_loading_info": True,
    }
    with _explain_errors(directory):
        model, info = cast(Any, kind).from_pretrained(directory, **options)
    if info["missing_keys"] or info["mismatched_keys"]:
        lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise BackboneInvalid(f"{directory} lacks weights, or has misshapen ones: {lacking[:3]}")
    return model


@contextmanager
def _explain_errors(directory: Path) -> Generator[None]:
    """Turn errors of loading into BackboneInvalid, with the directory and the remedy."""
    try:
        yield
    except (OSError, ValueError, TypeError, ImportError) as error:
        pickled = [*directory.glob("*.bin"), *directory.glob("*.ckpt")]
        hint = ""
        if not directory.is_dir():
            hint = " The folder is missing."
        elif pickled and not [*directory.glob("*.safetensors")]:
            hint = (
                f" Its weights are pickled ({pickled[0].name}), and a pickle can hold code: "
                "convert them to safetensors, or set PALIMPSEST_ALLOW_PICKLE=true if you trust "
                "where they come from."
            )
        raise BackboneInvalid(f"{directory} cannot be loaded: {error}{hint}") from error
