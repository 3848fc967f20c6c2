"""Cache of the base encoder's clips for the judge's probes.

They are the same for every encoder, so they are made once. The key is a hash of all that decides a
clip's pixels: the model's files, what they are computed with, and the request. The cache holds
clips, not what a judge saw in them, so an entry serves every judge, and the report can show it.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from encoders.blob_store import BlobStore, NotABlob, TooLarge
from server.storage.owned_names import CLIP_ID

if TYPE_CHECKING:
    from video import GenerationRequest
    from video.frames import Frames
    from video.models.backbone import Backbone

_HASH_BYTES = 32
_MOST_BYTES = 1 << 30


class BaseClips:
    """A folder of clips by the base encoder.

    When it is full, the entries that were unused for longest are removed, or where the store does
    not know that, the oldest. An entry is the SHA-256
    of its content, followed by the content, an .npy file. An entry whose hash does not match is
    removed, and the clip made again.

    Args:
        blobs: The cache's folder.
        max_bytes: Its size at most.
        model: Hash of all that decides pixels beside the request (`model_digest`).
    """

    def __init__(self, blobs: BlobStore, max_bytes: int, model: str) -> None:
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._model = model

    def get(self, request: GenerationRequest) -> Frames | None:
        """Return the clip (F,H,W,3) uint8 of a request to the base, or None if it is not cached.

        Raises:
            OSError: Nobody can tell just now.
        """
        path = self._path(request)
        try:
            data = self._blobs.read(path, _MOST_BYTES)
        except (NotABlob, TooLarge):
            data = b""
        if data is None:
            return None
        content = data[_HASH_BYTES:]
        if sha256(content).digest() != data[:_HASH_BYTES]:
            self._blobs.remove([path])
            return None
        self._blobs.touch(path)
        return np.load(io.BytesIO(content), allow_pickle=False)

    def put(self, request: GenerationRequest, clip: Frames) -> None:
        """Cache the clip of a request to the base.

        Raises:
            OSError: The clip could not be written.
        """
        content = io.BytesIO()
        np.save(content, clip, allow_pickle=False)
        digest = sha256(content.getvalue()).digest()
        self._blobs.put_all({self._path(request): digest + content.getvalue()})
        self._make_room()

    def _make_room(self) -> None:
        clips = [clip for clip in self._blobs.walk("") if CLIP_ID.fullmatch(clip.path)]
        total = sum(clip.size for clip in clips)
        for clip in sorted(clips, key=lambda one: one.last_modified):
            if total <= self._max_bytes:
                return
            self._blobs.remove([clip.path])
            total -= clip.size

    def _path(self, request: GenerationRequest) -> str:
        if request.encoder is not None:
            raise ValueError(f"not a request to the base: {request.encoder}")
        pixels = {name: value for name, value in asdict(request).items() if name != "owner"}
        key = json.dumps([self._model, pixels], sort_keys=True)
        return sha256(key.encode()).hexdigest()


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
