"""Sources of models: a directory, the Hugging Face Hub or its cache, BentoML's model store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from video.errors import BackboneInvalid

BENTOML = "bentoml:"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_CONFIGS = ("*.json", "*.txt", "*.model")
_UNUSED = ("*.fp16.*", "*.bf16.*", "*non_ema*", "*.msgpack", "*.onnx*")
"""Files with the same weights in another precision or for another framework."""


class SnapshotUnavailable(Exception):
    """A repository that is neither in the Hub's cache nor can be fetched; says why in one line."""


def resolve_model(source: str | Path, folders: Sequence[str], *, pickles: bool = False) -> Path:
    """Return a model's directory; fetch the model first if it is not on this machine.

    Args:
        source: a directory; `bentoml:<tag>`; or a Hub id, `owner/name` or `owner/name@revision`,
            which is looked up in the Hub's cache and then on the Hub.
        folders: component folders to fetch with `model_index.json`; "" for files at the top level.
        pickles: fetch pickled weights, too.

    Raises:
        BackboneInvalid: there is no such model, or it cannot be fetched; names the remedy.
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


def fetch_snapshot(
    repository: str,
    patterns: Sequence[str],
    *,
    revision: str | None = None,
    ignore: Sequence[str] = (),
) -> Path:
    """Return the directory of a Hub repository, from the Hub's cache or fetched now.

    Args:
        repository: `owner/name`.
        patterns: files to fetch, as in `snapshot_download(allow_patterns=…)`.
        revision: a branch, tag or commit; the main branch by default.
        ignore: files to leave out of these.

    Raises:
        SnapshotUnavailable: the repository is not in the cache and cannot be fetched.
    """
    from huggingface_hub import snapshot_download  # imports slowly, and local models need none

    try:
        found = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=list(ignore) or None,
        )
    except Exception as error:  # the Hub's own errors, httpx's, OSError or ValueError
        raise SnapshotUnavailable(_first_line(error)) from error
    return Path(found)


def _from_bentoml(tag: str) -> Path:
    import bentoml  # imports for a second, and only this source needs it
    from bentoml.exceptions import BentoMLException

    try:
        return Path(bentoml.models.get(tag).path)
    except BentoMLException as error:
        raise BackboneInvalid(
            f"BentoML's model store has no {tag!r} ({error}); `bentoml models list` shows what it "
            "has."
        ) from error


def _from_hub(name: str, folders: Sequence[str], pickles: bool) -> Path:
    repository, _, revision = name.partition("@")
    weights = ("*.safetensors", "*.bin") if pickles else ("*.safetensors",)
    prefixes = [f"{folder}/" if folder else "" for folder in folders]
    files = [prefix + ending for prefix in prefixes for ending in (*_CONFIGS, *weights)]
    try:
        return fetch_snapshot(
            repository,
            ["model_index.json", "prompts.json", *files],
            revision=revision or None,
            ignore=_UNUSED,
        )
    except SnapshotUnavailable as error:
        raise BackboneInvalid(
            f"{name!r} is neither a directory nor in the Hub's cache, and could not be fetched "
            f"from the Hub: {error}. Check the name, the network and HF_TOKEN, or fetch it "
            f"elsewhere with `hf download {repository}` and give the directory."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
