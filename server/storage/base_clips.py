"""Cache of the base encoder's clips for the judge's probes.

They are the same for every encoder, so they are made once. The key is a hash of all that decides a
clip's pixels: the model's files, what they are computed with, and the request. The cache holds
clips, not what a judge saw in them, so an entry serves every judge, and the report can show it.
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

from encoders.atomic_files import write_atomically
from server.storage.owned_names import CLIP_ID

if TYPE_CHECKING:
    from video import GenerationRequest
    from video.frames import Frames
    from video.models.backbone import Backbone

_HASH_BYTES = 32


class BaseClips:
    """A folder of clips by the base encoder, for use by one thread.

    When it is full, the entries that were unused for longest are removed. An entry is the SHA-256
    of its content, followed by the content, an .npy file. An entry whose hash does not match is
    removed, and the clip made again.

    Args:
        folder: The cache's folder.
        max_bytes: Its size at most.
        model: Hash of all that decides pixels beside the request (`model_digest`).
    """

    def __init__(self, folder: Path, max_bytes: int, model: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._model = model

    def get(self, request: GenerationRequest) -> Frames | None:
        """Return the clip (F,H,W,3) uint8 of a request to the base, or None if it is not cached."""
        path = self._path(request)
        if not path.exists():
            return None
        data = path.read_bytes()
        content = data[_HASH_BYTES:]
        if sha256(content).digest() != data[:_HASH_BYTES]:
            path.unlink()
            return None
        os.utime(path)  # marks it as used
        return np.load(io.BytesIO(content), allow_pickle=False)

    def put(self, request: GenerationRequest, clip: Frames) -> None:
        """Cache the clip of a request to the base.

        Raises:
            OSError: The clip could not be written.
        """
        content = io.BytesIO()
        np.save(content, clip, allow_pickle=False)
        digest = sha256(content.getvalue()).digest()
        write_atomically(self._path(request), digest + content.getvalue())
        self._make_room()

    def _make_room(self) -> None:
        clips = (path for path in self._folder.iterdir() if CLIP_ID.fullmatch(path.name))
        entries = [(path.stat(), path) for path in clips]
        total = sum(stat.st_size for stat, _ in entries)
        for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
            if total <= self._max_bytes:
                return
            path.unlink()
            total -= stat.st_size

    def _path(self, request: GenerationRequest) -> Path:
        if request.encoder is not None:
            raise ValueError(f"not a request to the base: {request.encoder}")
        pixels = {name: value for name, value in asdict(request).items() if name != "owner"}
        key = json.dumps([self._model, pixels], sort_keys=True)
        return self._folder / sha256(key.encode()).hexdigest()


def model_digest(backbone: Backbone) -> str:
    """Hash everything but the request that decides the pixels of a model's clips.

    That is the files of the model and its twin, the size, the device, the precision and the version
    of torch.
    """
    import torch

    size = f"{backbone.capabilities.native_width}x{backbone.capabilities.native_height}"
    computed_with = [size, str(backbone.device), str(backbone.dtype), torch.__version__]
    files = [_files_digest(directory) for directory in backbone.sources]
    return sha256(json.dumps([files, *computed_with]).encode()).hexdigest()


@lru_cache(maxsize=8)
def _files_digest(directory: Path) -> str:
    """Hash what diffusers loads from a model's directory: its JSON, and its components' files.

    The result is remembered, since a running process does not load the files again.
    """
    total = sha256()
    for path in sorted([*directory.glob("*.json"), *directory.glob("*/*")]):
        if path.is_file():
            with path.open("rb") as file:
                content = file_digest(file, "sha256").hexdigest()
            total.update(json.dumps([str(path.relative_to(directory)), content]).encode())
    return total.hexdigest()
