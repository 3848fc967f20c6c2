"""Workspace of one encoder job: the results of the steps that are done, in the store of the files.

After a kill, the next start continues from these, on this machine or on another.

Each attempt at the job writes into a folder of its own, and continues from what there was when it
began:

    making/<job>/pictures.npy               pictures that a client sent, before there was an attempt
    making/<job>/<attempt>/inherited.json   results of earlier attempts: name → attempt
    making/<job>/<attempt>/<name>           its own results

So an attempt that is not known to be over, on a replica that was taken for dead, changes nothing
that a later one reads. Earlier versions wrote all results into the job's folder itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.blob_store import BlobStore
from server.jobs.attempts import MOST_BYTES, Inheritance, path_of, read

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


class Workspace:
    """Results of one encoder job. Each exists whole or not at all, also after a power cut.

    While the blobs are away, no result is taken for absent: OSError is raised.

    Args:
        blobs: The folder of all workspaces.
        job_id: The job's id, which the server made, so it is safe as a name.
        attempt: The attempt at the job; 0 before there is one.
        repeat: Is given words for the log and a write, which it calls until it succeeds.
        is_wanted: Returns False once nobody needs the results, since the job was deleted. Then
            nothing is written.
        on_saved: Called after each result and each checkpoint.
    """

    def __init__(
        self,
        blobs: BlobStore,
        job_id: str,
        attempt: int = 0,
        *,
        repeat: Callable[[str, Callable[[], None]], None] = lambda _, write: write(),
        is_wanted: Callable[[], bool] = lambda: True,
        on_saved: Callable[[], None] = lambda: None,
    ) -> None:
        self._blobs = blobs
        self._job_id = job_id
        self._attempt = attempt
        self._inheritance = Inheritance(blobs, job_id, attempt, is_wanted)
        self._repeat = repeat
        self._is_wanted = is_wanted
        self._on_saved = on_saved

    def save_search(self, concept: int, state: Mapping[str, Any]) -> None:
        """Save the state of the search for ways to the job's own concept of this number."""
        self._write(self._path(self._search_path(concept)), json.dumps(state).encode())

    def load_search(self, concept: int) -> dict[str, Any]:
        """Load that state; an empty one if the search has not begun."""
        content = self._found(self._search_path(concept))
        return {} if content is None else json.loads(content)

    @property
    def encoder_attempt(self) -> int:
        """The attempt that staged the encoder, if it is staged; 0: an earlier version did."""
        if self._blobs.exists(self._path(_LOSSES)):
            return self._attempt
        return self._inheritance.attempts().get(_LOSSES, self._attempt)

    def has_images(self, concept: int) -> bool:
        """Return True if the few-shot images of the job's concept of this number are there."""
        return self._has(self._images_path(concept)) or (concept == 0 and self.has_pictures())

    def save_images(self, concept: int, images: Images) -> None:
        """Save the few-shot images that the server made of one concept."""
        self._write(self._path(self._images_path(concept)), _as_bytes(images))

    def load_images(self, concept: int) -> Images:
        """Load the few-shot images of one concept: a client's pictures, or those made."""
        is_sent = concept == 0 and self.has_pictures()
        path = self._pictures_path() if is_sent else self._place(self._images_path(concept))
        return np.load(io.BytesIO(read(self._blobs, path)), allow_pickle=False)

    def has_pictures(self) -> bool:
        """Return True if a client sent pictures of the job's first concept."""
        return self._blobs.exists(self._pictures_path())

    def save_pictures(self, pictures: Images) -> None:
        """Save the pictures that a client sent of the job's first concept.

        They are apart from images that the server made, since they may stay after the job's end.
        """
        self._write(self._pictures_path(), _as_bytes(pictures))

    def has_checkpoint(self) -> bool:
        """Return True if the optimisation has begun, and left a checkpoint."""
        return self._has(_CHECKPOINT)

    def load_checkpoint(self) -> bytes | None:
        """Return the optimisation's last checkpoint, or None."""
        return self._found(_CHECKPOINT)

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Save a checkpoint of the optimisation. It does not wait for storage."""
        self._put(self._path(_CHECKPOINT), checkpoint)

    def has_losses(self) -> bool:
        """Return True if the optimisation is done."""
        return self._has(_LOSSES)

    def save_losses(self, losses: Sequence[float]) -> None:
        """Save the loss of every optimisation step. Call it once the encoder is staged."""
        self._write(self._path(_LOSSES), json.dumps(losses).encode())

    def load_losses(self) -> list[float]:
        """Load the loss of every optimisation step."""
        return json.loads(read(self._blobs, self._place(_LOSSES)))

    def save_outcomes(self, rows: Iterable[OutcomeRow]) -> None:
        """Save the outcomes of all probes so far."""
        self._write(self._path(_OUTCOMES), json.dumps(list(rows), indent=1).encode())

    def load_outcomes(self) -> list[OutcomeRow]:
        """Load the outcomes of all probes so far; none if no round is done."""
        content = self._found(_OUTCOMES)
        return [] if content is None else json.loads(content)

    def save_pair(self, name: str, base: Frames, encoder: Frames) -> None:
        """Save the base's and the encoder's clip of a probe that the report shows."""
        content = io.BytesIO()
        np.savez(content, base=base, encoder=encoder)
        self._write(self._path(self._pair_path(name)), content.getvalue())

    def load_pair(self, name: str) -> tuple[Frames, Frames]:
        """Load the base's and the encoder's clip of a probe that the report shows."""
        content = io.BytesIO(read(self._blobs, self._place(self._pair_path(name))))
        with np.load(content, allow_pickle=False) as pair:
            return pair["base"], pair["encoder"]

    def save_preview(self, step: int, picture: bytes) -> None:
        """Save the still that the encoder drew after a step. It does not wait for storage."""
        self._put(self._path(self._preview_path(step)), picture)

    def load_preview(self, step: int) -> bytes | None:
        """Return the still that the encoder drew after a step, or None."""
        return self._found(self._preview_path(step))

    def save_failure(self, files: Mapping[str, bytes]) -> None:
        """Save what speaks against the encoder. It stays for as long as the failed job's row."""
        for name, content in files.items():
            self._write(self._path(f"{_FAILURE}/{name}"), content)

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
            if (pictures and item.path == self._pictures_path())
            or (failure and f"/{_FAILURE}/" in item.path)
        ]
        if not kept:
            self.discard()
            return
        self._blobs.remove(item.path for item in items if item.path not in kept)

    def newest(self) -> float | None:
        """Return the Unix time of the last write; None if there is nothing."""
        times = [item.last_modified.timestamp() for item in self._blobs.walk(self._job_id)]
        return max(times, default=None)

    def _write(self, path: str, content: bytes) -> None:
        self._repeat(f"{path} of a job", lambda: self._put(path, content))

    def _put(self, path: str, content: bytes) -> None:
        if self._is_wanted():  # or it would be written after all else was removed
            self._blobs.put_all({path: content})
            self._on_saved()

    def _has(self, name: str) -> bool:
        return name in self._inheritance.attempts() or self._blobs.exists(self._path(name))

    def _found(self, name: str) -> bytes | None:
        return self._blobs.read(self._place(name), MOST_BYTES)

    def _place(self, name: str) -> str:
        """Return the path of a result: this attempt's own, or else the inherited one."""
        own, attempt = self._path(name), self._inheritance.attempts().get(name)
        if attempt is None or self._blobs.exists(own):
            return own
        return path_of(self._job_id, attempt, name)

    def _path(self, name: str) -> str:
        return path_of(self._job_id, self._attempt, name)

    def _pictures_path(self) -> str:
        return path_of(self._job_id, 0, _PICTURES)

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
