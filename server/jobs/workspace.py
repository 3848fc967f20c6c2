"""Workspace of one encoder job: the results of the steps that are done, in the store of the files.

After a kill, the next start continues from these, on this machine or on another.
"""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.blob_store import BlobStore

if TYPE_CHECKING:
    from video.frames import Frames

Images = NDArray[np.uint8]
"""Few-shot images (N,H,W,3), or clips (N,F,H,W,3) of a motion."""
OutcomeRow = dict[str, Any]
"""A probe and what the judge saw in it: an entry of `outcomes.json`."""


_PICTURES = "pictures.npy"
_CHECKPOINT = "checkpoint.safetensors"
_LOSSES = "losses.json"
_OUTCOMES = "outcomes.json"
_FAILURE = "failure"
_MOST_BYTES = 1 << 32


class Workspace:
    """Results of one encoder job. Each exists whole or not at all, also after a power cut.

    While the blobs are away, no result is taken for absent: OSError is raised.

    Args:
        blobs: The folder of all workspaces.
        job_id: The job's id, which the server made, so it is safe as a name.
        repeat: Is given words for the log and a write, which it calls until it succeeds.
        is_wanted: Returns False once nobody needs the results, since the job was deleted. Then
            nothing is written.
        on_saved: Called after each result and each checkpoint.
    """

    def __init__(
        self,
        blobs: BlobStore,
        job_id: str,
        *,
        repeat: Callable[[str, Callable[[], None]], None] = lambda _, write: write(),
        is_wanted: Callable[[], bool] = lambda: True,
        on_saved: Callable[[], None] = lambda: None,
    ) -> None:
        self._blobs = blobs
        self._job_id = job_id
        self._repeat = repeat
        self._is_wanted = is_wanted
        self._on_saved = on_saved

    def save_search(self, concept: int, state: Mapping[str, Any]) -> None:
        """Save the state of the search for ways to the job's own concept of this number."""
        self._write(self._search_path(concept), json.dumps(state).encode())

    def load_search(self, concept: int) -> dict[str, Any]:
        """Load that state; an empty one if the search has not begun."""
        content = self._found(self._search_path(concept))
        return {} if content is None else json.loads(content)

    def has_images(self, concept: int) -> bool:
        """Return True if the few-shot images of the job's concept of this number are there."""
        return self._has(self._images_path(concept)) or (concept == 0 and self.has_pictures())

    def save_images(self, concept: int, images: Images) -> None:
        """Save the few-shot images that the server made of one concept."""
        self._write(self._images_path(concept), _as_bytes(images))

    def load_images(self, concept: int) -> Images:
        """Load the few-shot images of one concept: a client's pictures, or those made."""
        is_sent = concept == 0 and self.has_pictures()
        path = _PICTURES if is_sent else self._images_path(concept)
        return np.load(io.BytesIO(self._read(path)), allow_pickle=False)

    def has_pictures(self) -> bool:
        """Return True if a client sent pictures of the job's first concept."""
        return self._has(_PICTURES)

    def save_pictures(self, pictures: Images) -> None:
        """Save the pictures that a client sent of the job's first concept.

        They are apart from images that the server made, since they may stay after the job's end.
        """
        self._write(_PICTURES, _as_bytes(pictures))

    def has_checkpoint(self) -> bool:
        """Return True if the optimisation has begun, and left a checkpoint."""
        return self._has(_CHECKPOINT)

    def load_checkpoint(self) -> bytes | None:
        """Return the optimisation's last checkpoint, or None."""
        return self._found(_CHECKPOINT)

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Save a checkpoint of the optimisation. It does not wait for storage."""
        self._put(_CHECKPOINT, checkpoint)

    def has_losses(self) -> bool:
        """Return True if the optimisation is done."""
        return self._has(_LOSSES)

    def save_losses(self, losses: Sequence[float]) -> None:
        """Save the loss of every optimisation step. Call it once the encoder is staged."""
        self._write(_LOSSES, json.dumps(losses).encode())

    def load_losses(self) -> list[float]:
        """Load the loss of every optimisation step."""
        return json.loads(self._read(_LOSSES))

    def save_outcomes(self, rows: Iterable[OutcomeRow]) -> None:
        """Save the outcomes of all probes so far."""
        self._write(_OUTCOMES, json.dumps(list(rows), indent=1).encode())

    def load_outcomes(self) -> list[OutcomeRow]:
        """Load the outcomes of all probes so far; none if no round is done."""
        content = self._found(_OUTCOMES)
        return [] if content is None else json.loads(content)

    def save_pair(self, name: str, base: Frames, encoder: Frames) -> None:
        """Save the base's and the encoder's clip of a probe that the report shows."""
        content = io.BytesIO()
        np.savez(content, base=base, encoder=encoder)
        self._write(self._pair_path(name), content.getvalue())

    def load_pair(self, name: str) -> tuple[Frames, Frames]:
        """Load the base's and the encoder's clip of a probe that the report shows."""
        content = io.BytesIO(self._read(self._pair_path(name)))
        with np.load(content, allow_pickle=False) as pair:
            return pair["base"], pair["encoder"]

    def save_preview(self, step: int, picture: bytes) -> None:
        """Save the still that the encoder drew after a step. It does not wait for storage."""
        self._put(self._preview_path(step), picture)

    def load_preview(self, step: int) -> bytes | None:
        """Return the still that the encoder drew after a step, or None."""
        return self._found(self._preview_path(step))

    def save_failure(self, files: Mapping[str, bytes]) -> None:
        """Save what speaks against the encoder. It stays for as long as the failed job's row."""
        for name, content in files.items():
            self._write(f"{_FAILURE}/{name}", content)

    def load_failure(self, name: str) -> bytes | None:
        """Return a file of what speaks against the encoder, or None."""
        return self._found(f"{_FAILURE}/{name}")

    def discard(self) -> None:
        """Remove everything, if there is anything."""
        self._blobs.remove_folder(self._job_id)

    def discard_all_but(self, *, pictures: bool, failure: bool) -> None:
        """Remove everything but what is to be kept of a job that has ended.

        It writes nothing, so it cannot bring back what is removed at the same time.

        Args:
            pictures: True to keep the pictures that a client sent.
            failure: True to keep what speaks against the encoder.
        """
        items = [*self._blobs.walk(self._job_id), *self._blobs.drafts(self._job_id)]
        kept = [
            item.path
            for item in items
            if (pictures and item.path == self._path(_PICTURES))
            or (failure and item.path.startswith(self._path(f"{_FAILURE}/")))
        ]
        if not kept:
            self.discard()
            return
        self._blobs.remove(item.path for item in items if item.path not in kept)

    def newest(self) -> float | None:
        """Return the Unix time of the last write; None if there is nothing."""
        times = [item.last_modified.timestamp() for item in self._blobs.walk(self._job_id)]
        return max(times, default=None)

    def _write(self, name: str, content: bytes) -> None:
        self._repeat(f"{name} of job {self._job_id}", lambda: self._put(name, content))

    def _put(self, name: str, content: bytes) -> None:
        if self._is_wanted():  # or it would be written after all else was removed
            self._blobs.put_all({self._path(name): content})
            self._on_saved()

    def _has(self, name: str) -> bool:
        return self._blobs.exists(self._path(name))

    def _found(self, name: str) -> bytes | None:
        return self._blobs.read(self._path(name), _MOST_BYTES)

    def _read(self, name: str) -> bytes:
        """Return a result that was saved.

        Raises:
            FileNotFoundError: It is gone: the job was deleted.
            OSError: It cannot be read just now.
        """
        content = self._found(name)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "a result of a job is gone", self._path(name))
        return content

    def _path(self, name: str) -> str:
        return f"{self._job_id}/{name}"

    @staticmethod
    def _images_path(concept: int) -> str:
        return f"images-{concept}.npy"

    @staticmethod
    def _search_path(concept: int) -> str:
        return f"ways-{concept}.json"

    @staticmethod
    def _preview_path(step: int) -> str:
        return f"previews/{step}.webp"

    @staticmethod
    def _pair_path(name: str) -> str:
        return f"shown/{name}.npz"


def _as_bytes(images: Images) -> bytes:
    content = io.BytesIO()
    np.save(content, images, allow_pickle=False)
    return content.getvalue()
