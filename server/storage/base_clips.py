"""What the base made for the judge's probes: the same for every encoder, so made once.

A clip is kept under the hash of all that decides its pixels: the model's files, what they are
computed with, and the request. It is the clip that is kept and not what a judge saw in it, so that
an entry holds for every judge, and the report can show it.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from video import GenerationRequest
    from video.frames import Frames
    from video.models.backbone import Backbone

_HASH_BYTES = 32


class BaseClips:
    """A folder of clips by the base; the longest unused go when it is full. For one thread.

    An entry is the SHA-256 of its content, and its content, an .npy file. One that does not match
    is no entry: it is removed, and the clip made again.
    """

    def __init__(self, folder: Path, most_bytes: int, model: str) -> None:
        """`model` stands for all that decides pixels beside the request (:func:`model_digest`)."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes
        self._model = model

    def get(self, request: GenerationRequest) -> Frames | None:
        """The clip (F,H,W,3) of a request to the base, if it is there."""
        path = self._path(request)
        if not path.exists():
            return None
        data = path.read_bytes()
        content = data[_HASH_BYTES:]
        if sha256(content).digest() != data[:_HASH_BYTES]:
            path.unlink()
            return None
        os.utime(path)
        return np.load(io.BytesIO(content), allow_pickle=False)

    def put(self, request: GenerationRequest, clip: Frames) -> None:
        """Keep the clip of a request to the base. Raises OSError."""
        content = io.BytesIO()
        np.save(content, clip, allow_pickle=False)
        path = self._path(request)
        draft = path.with_suffix(".draft")
        draft.write_bytes(sha256(content.getvalue()).digest() + content.getvalue())
        draft.replace(path)
        self._make_room()

    def _make_room(self) -> None:
        entries = [(path.stat(), path) for path in self._folder.iterdir()]
        total = sum(stat.st_size for stat, _ in entries)
        for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
            if total <= self._most_bytes:
                return
            path.unlink()
            total -= stat.st_size

    def _path(self, request: GenerationRequest) -> Path:
        if request.encoder is not None:
            raise ValueError(f"not a request to the base: {request.encoder}")
        described = json.dumps([self._model, asdict(request)], sort_keys=True)
        return self._folder / sha256(described.encode()).hexdigest()


def model_digest(backbone: Backbone) -> str:
    """A hash over the model's files and its twin's, and over what else changes the pixels of its
    clips: size, device, precision and the version of torch.
    """
    import torch

    size = f"{backbone.capabilities.native_width}x{backbone.capabilities.native_height}"
    computed_with = [size, str(backbone.device), str(backbone.dtype), torch.__version__]
    files = [_files_digest(directory) for directory in backbone.sources]
    return sha256(json.dumps([files, *computed_with]).encode()).hexdigest()


@lru_cache(maxsize=8)
def _files_digest(directory: Path) -> str:
    """A hash over what diffusers loads from a model's directory: its JSON, and its components'
    files. What a running process has loaded does not change, so it is taken once.
    """
    total = sha256()
    for path in sorted([*directory.glob("*.json"), *directory.glob("*/*")]):
        if path.is_file():
            with path.open("rb") as file:
                content = file_digest(file, "sha256").hexdigest()
            total.update(json.dumps([str(path.relative_to(directory)), content]).encode())
    return total.hexdigest()
