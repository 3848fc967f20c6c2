"""Where a model comes from: a directory, the Hugging Face Hub or its cache, BentoML's store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from video.errors import BackboneInvalid

BENTOML = "bentoml:"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_CODE = ("*.json", "*.txt", "*.model")
_UNUSED = ("*.fp16.*", "*.bf16.*", "*non_ema*", "*.msgpack", "*.onnx*")
"""The same weights in other precisions and other frameworks' files."""


def resolve_model(source: str | Path, folders: Sequence[str], *, pickles: bool = False) -> Path:
    """The directory of a model, fetched first if it is not on this machine.

    Args:
        source: a directory; `bentoml:<tag>`; or a Hub id, `owner/name` or `owner/name@revision`,
            looked up in the Hub's cache and then on the Hub.
        folders: what is needed of it beside `model_index.json`; "" for files at its top.
        pickles: fetch weights that are pickled, too.

    Raises:
        BackboneInvalid: there is no such model, or it cannot be fetched; says what to do.
    """
    if Path(source).is_dir():
        return Path(source)
    name = str(source)
    if name.startswith(BENTOML):
        return _from_bentoml(name.removeprefix(BENTOML))
    if _HUB_ID.fullmatch(name) and not Path(name).is_absolute():
        return _from_hub(name, folders, pickles)
    raise BackboneInvalid(
        f"{name!r} is no model: give a directory, a Hub id such as 'owner/name', or "
        f"'{BENTOML}<tag>'."
    )


def _from_bentoml(tag: str) -> Path:
    import bentoml  # takes a second, and only this needs it
    from bentoml.exceptions import BentoMLException

    try:
        return Path(bentoml.models.get(tag).path)
    except BentoMLException as error:
        raise BackboneInvalid(
            f"BentoML's model store has no {tag!r} ({error}); `bentoml models list` shows what it "
            "has."
        ) from error


def _from_hub(name: str, folders: Sequence[str], pickles: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    weights = ("*.safetensors", "*.bin") if pickles else ("*.safetensors",)
    inside = [f"{folder}/" if folder else "" for folder in folders]
    wanted = [prefix + ending for prefix in inside for ending in (*_CODE, *weights)]
    try:
        found = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=["model_index.json", "prompts.json", *wanted],
            ignore_patterns=list(_UNUSED),
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise BackboneInvalid(
            f"{name!r} is neither a directory nor in the Hub's cache, and could not be fetched "
            f"from the Hub: {_first_line(error)}. Check the name, the network and HF_TOKEN, or "
            f"fetch it elsewhere with `hf download {repository}` and give the directory."
        ) from error
    return Path(found)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
