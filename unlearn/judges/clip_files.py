"""Files of a CLIP judge: fetched, checked, hashed, and checked against each other once loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import file_digest, sha256
from json import dumps
from pathlib import Path
from typing import Any, cast

from transformers import CLIPModel, CLIPTokenizer

from unlearn.judges.base import JudgeInvalid
from unlearn.judges.files import MAX_FILE_BYTES, check_file, read_config
from video.checkpoints.hub import SnapshotUnavailable, fetch_snapshot
from video.models.prompt_book import PromptBook

MAX_WEIGHTS_BYTES = 12 * 2**30
"""The size limit of a weights file: the largest CLIP, ViT-bigG/14 in float32, has 10 GB."""

READ = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
"""The files that are fetched from the Hub and read, as glob patterns: no pickle, no code."""

NEEDED = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.json"),
)
"""The files that a CLIP needs beside `config.json`: one of each group."""


def fetch(name: str) -> Path:
    """Return the directory of a CLIP from the Hub, downloading what its cache lacks."""
    try:
        return fetch_snapshot(name, READ)
    except SnapshotUnavailable as error:
        raise JudgeInvalid(
            f"{name!r} is no directory and no installed judge, and cannot be fetched from the "
            f"Hugging Face Hub: {error}"
        ) from error


def files_hash(directory: Path, book: PromptBook) -> str:
    """Hash the files that are read and the prompt book, which all decide the answers."""
    hasher = sha256()
    for file in sorted({file for pattern in READ for file in directory.glob(pattern)}):
        with file.open("rb") as content:
            hasher.update(f"{file.name}\0{file_digest(content, 'sha256').hexdigest()}\0".encode())
    hasher.update(dumps(asdict(book), sort_keys=True).encode())
    return f"sha256:{hasher.hexdigest()}"


def check_directory(directory: Path) -> None:
    """Raise JudgeInvalid if the directory is no CLIP's, or a file is missing or too large."""
    model_type = read_config(directory).get("model_type")
    if model_type != "clip":
        raise JudgeInvalid(f"{directory} is a {model_type!r}, not a 'clip'")
    for names in NEEDED:
        if not any((directory / name).is_file() for name in names):
            raise JudgeInvalid(f"{directory} lacks {' or '.join(names)}, so it is no CLIP to load")
    for file in [file for pattern in READ for file in directory.glob(pattern)]:
        is_weights = file.suffix == ".safetensors"
        check_file(file, MAX_WEIGHTS_BYTES if is_weights else MAX_FILE_BYTES)


def check_fit(model: CLIPModel, info: Mapping[str, Any], tokenizer: CLIPTokenizer) -> None:
    """Raise ValueError if the weights or the tokenizer do not fit the model.

    Weights may be missing, misshapen or not finite; a tokenizer may have another vocabulary.
    """
    if lacking := sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]])):
        raise ValueError(f"it lacks weights, or has misshapen ones: {lacking[:3]}")
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise ValueError(f"{name} holds values that are not finite")
    # Without its files, transformers makes a CLIPTokenizer of three tokens and gives no warning.
    vocabulary = cast(Any, model.config).text_config.vocab_size
    if len(tokenizer) != vocabulary:
        raise ValueError(
            f"its tokenizer has {len(tokenizer)} tokens, its text model {vocabulary}: they do not "
            "belong together"
        )
