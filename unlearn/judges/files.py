"""A judge's files: checked for presence and size, then read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from unlearn.judges.base import JudgeInvalid

MAX_FILE_BYTES = 64 * 2**20
"""The size limit of every file but a CLIP's weights."""


def read_config(directory: Path) -> dict[str, Any]:
    """Read a judge's `config.json`.

    Raises:
        JudgeInvalid: it is missing, larger than `MAX_FILE_BYTES` or no JSON object.
    """
    file = directory / "config.json"
    check_file(file, MAX_FILE_BYTES)
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise JudgeInvalid(f"{file}: {error}") from error
    if not isinstance(config, dict):
        raise JudgeInvalid(f"{file} is no JSON object")
    return cast(dict[str, Any], config)


def check_file(file: Path, limit: int) -> None:
    """Raise JudgeInvalid if the file is missing or has more than `limit` bytes."""
    if not file.is_file():
        raise JudgeInvalid(f"{file} is missing; a judge has config.json and model.safetensors")
    if file.stat().st_size > limit:
        raise JudgeInvalid(f"{file} is larger than {limit} bytes")
