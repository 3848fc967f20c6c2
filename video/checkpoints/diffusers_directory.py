"""A model's directory as diffusers lays it out: an index, and a folder for each component."""

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
"""In which weights are loaded; "auto" is that in which they are stored, for a text model."""


def read_index(directory: Path) -> dict[str, Any]:
    """The directory's `model_index.json`. Raises BackboneInvalid if there is none to be read."""
    return _read_json(directory / "model_index.json")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise BackboneInvalid(
            f"{file} cannot be read ({error}); a model is a diffusers directory."
        ) from error


class ModelFiles:
    """Loads components, each of a class that is asked for and none of its weights at random.

    Args:
        source: see `video.checkpoints.hub.resolve_model`.
        folders: the components that will be asked for.
        pickles: whether weights may be pickled. They are read as tensors only (`weights_only`),
            but by code with a history: safetensors cannot hold anything else.
    """

    def __init__(
        self, source: str | Path, folders: Sequence[str], *, pickles: bool = False
    ) -> None:
        self.directory = resolve_model(source, folders, pickles=pickles)
        self.index = read_index(self.directory)
        self._pickles = pickles

    @property
    def pipeline(self) -> str:
        """The class of the pipeline that it was saved from."""
        return str(self.index.get("_class_name"))

    def kind(self, component: str) -> str | None:
        """The class of a component, as the index names it; None if it has none."""
        entry = self.index.get(component)
        return str(entry[-1]) if isinstance(entry, list) and entry[-1] else None

    def config(self, component: str) -> dict[str, Any]:
        """A component's `config.json`. Raises BackboneInvalid."""
        return _read_json(self.directory / component / "config.json")

    def load(self, component: str, kind: Any, dtype: Precision) -> Any:
        """A component's model, in this precision.

        Raises:
            BackboneInvalid: it is missing, of another class, lacks weights, or they are pickled.
        """
        self.require(component, kind.__name__)
        return load_weights(kind, self.directory / component, dtype, pickles=self._pickles)

    def require(self, component: str, *kinds: str) -> str:
        """The class of a component, which has to be one of these. Raises BackboneInvalid."""
        found = self.kind(component)
        if found not in kinds:
            raise BackboneInvalid(
                f"{self.directory}: {component} must be a {' or '.join(kinds)}, not {found}."
            )
        return found

    def tokenizer(self, *kinds: str) -> Any:
        """The tokenizer. Raises BackboneInvalid."""
        self.require("tokenizer", *kinds)
        directory = self.directory / "tokenizer"
        with _explained(directory):
            found = getattr(transformers, kinds[0]).from_pretrained(
                directory, local_files_only=True
            )
        # Without its vocabulary's file a tokenizer loads all the same, and knows nothing.
        if 8 * len(found) < int(self.config("text_encoder").get("vocab_size", 0)):
            raise BackboneInvalid(
                f"{directory} has {len(found)} tokens, the text encoder many more: its vocabulary "
                "(tokenizer.json, vocab.json or spiece.model) is missing."
            )
        return found

    def noise_scheduler(self) -> Any:
        """The scheduler, of whatever class of diffusers'. Raises BackboneInvalid."""
        found = getattr(diffusers, str(self.kind("scheduler")), None)
        if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
            raise BackboneInvalid(f"{self.directory}: scheduler is no diffusers scheduler.")
        with _explained(self.directory / "scheduler"):
            return cast(Any, found).from_pretrained(self.directory / "scheduler")


def load_weights(kind: Any, directory: Path, dtype: Precision, *, pickles: bool = False) -> Any:
    """`kind.from_pretrained` that never leaves weights at random.

    Raises:
        BackboneInvalid: weights are missing, misshapen, or pickled and `pickles` is not set.
    """
    options: dict[str, Any] = {
        "dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype": dtype,
        "use_safetensors": None if pickles else True,
        "local_files_only": True,
        "output_loading_info": True,
    }
    with _explained(directory):
        model, info = cast(Any, kind).from_pretrained(directory, **options)
    if info["missing_keys"] or info["mismatched_keys"]:
        lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise BackboneInvalid(f"{directory} lacks weights, or has misshapen ones: {lacking[:3]}")
    return model


@contextmanager
def _explained(directory: Path) -> Generator[None]:
    """Errors of loading, as BackboneInvalid with the directory and what can be done."""
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
