"""Workspace of one encoder job: a folder with the results of the steps that are done.

After a kill, the next start continues from these files.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.atomic_files import make_folder, remove_tree, write_atomically
from encoders.folder_marker import check_marked

if TYPE_CHECKING:
    from video.frames import Frames

Images = NDArray[np.uint8]
"""Few-shot images (N,H,W,3), or clips (N,F,H,W,3) of a motion."""
OutcomeRow = dict[str, Any]
"""A probe and what the judge saw in it: an entry of `outcomes.json`."""


class Workspace:
    """Files of one encoder job. Each exists whole or not at all, also after a power cut.

    Args:
        work_dir: The folder of all workspaces.
        job_id: The job's id, which the server made, so it is safe as a file name.
        write: Writes a file atomically.
        on_saved: Called after each result and each checkpoint.
        is_marked: True if `work_dir` has a marker (`encoders.folder_marker`). While it is away, no
            result is taken for absent: OSError is raised.
    """

    def __init__(
        self,
        work_dir: Path,
        job_id: str,
        write: Callable[[Path, bytes], None] = write_atomically,
        on_saved: Callable[[], None] = lambda: None,
        *,
        is_marked: bool = False,
    ) -> None:
        self._work_dir = work_dir
        self._is_marked = is_marked
        self.folder = work_dir / job_id
        self._write_file = write
        self._on_saved = on_saved

    def save_search(self, concept: int, state: Mapping[str, Any]) -> None:
        """Save the state of the search for ways to the job's own concept of this number."""
        self._write(self._search_path(concept), json.dumps(state).encode())

    def load_search(self, concept: int) -> dict[str, Any]:
        """Load that state; an empty one if the search has not begun."""
        path = self._search_path(concept)
        return json.loads(path.read_bytes()) if self._has(path) else {}

    def has_images(self, concept: int) -> bool:
        """Return True if the few-shot images of the job's concept of this number are there."""
        return self._has(self._images_path(concept)) or (concept == 0 and self.has_pictures())

    def save_images(self, concept: int, images: Images) -> None:
        """Save the few-shot images that the server made of one concept."""
        self._write(self._images_path(concept), _as_bytes(images))

    def load_images(self, concept: int) -> Images:
        """Load the few-shot images of one concept: a client's pictures, or those made."""
        is_sent = concept == 0 and self.has_pictures()
        path = self._pictures_path if is_sent else self._images_path(concept)
        return np.load(path, allow_pickle=False)

    def has_pictures(self) -> bool:
        """Return True if a client sent pictures of the job's first concept."""
        return self._has(self._pictures_path)

    def save_pictures(self, pictures: Images) -> None:
        """Save the pictures that a client sent of the job's first concept.

        They are apart from images that the server made, since they may stay after the job's end.
        """
        self._write(self._pictures_path, _as_bytes(pictures))

    def has_checkpoint(self) -> bool:
        """Return True if the optimisation has begun, and left a checkpoint."""
        return self._has(self._checkpoint_path)

    def load_checkpoint(self) -> bytes | None:
        """Return the optimisation's last checkpoint, or None."""
        if not self.has_checkpoint():
            return None
        try:
            return self._checkpoint_path.read_bytes()
        except FileNotFoundError:  # the job was deleted
            return None

    def save_checkpoint(self, checkpoint: bytes) -> None:
        """Save a checkpoint of the optimisation, unless the job's folder is gone by now."""
        if self.folder.is_dir():
            write_atomically(self._checkpoint_path, checkpoint)
            self._on_saved()

    def begin(self) -> None:
        """Make the folder, if there is none yet."""
        if self._is_marked:
            check_marked(self._work_dir)
        make_folder(self.folder)

    def has_losses(self) -> bool:
        """Return True if the optimisation is done."""
        return self._has(self._losses_path)

    def save_losses(self, losses: Sequence[float]) -> None:
        """Save the loss of every optimisation step. Call it once the encoder is staged."""
        self._write(self._losses_path, json.dumps(losses).encode())

    def load_losses(self) -> list[float]:
        """Load the loss of every optimisation step."""
        return json.loads(self._losses_path.read_bytes())

    def save_outcomes(self, rows: Iterable[OutcomeRow]) -> None:
        """Save the outcomes of all probes so far."""
        self._write(self._outcomes_path, json.dumps(list(rows), indent=1).encode())

    def load_outcomes(self) -> list[OutcomeRow]:
        """Load the outcomes of all probes so far; none if no round is done."""
        if not self._has(self._outcomes_path):
            return []
        return json.loads(self._outcomes_path.read_bytes())

    def save_pair(self, name: str, base: Frames, encoder: Frames) -> None:
        """Save the base's and the encoder's clip of a probe that the report shows."""
        content = io.BytesIO()
        np.savez(content, base=base, encoder=encoder)
        self._write(self._pair_path(name), content.getvalue())

    def load_pair(self, name: str) -> tuple[Frames, Frames]:
        """Load the base's and the encoder's clip of a probe that the report shows."""
        with np.load(self._pair_path(name), allow_pickle=False) as pair:
            return pair["base"], pair["encoder"]

    def discard(self) -> None:
        """Remove the folder, if there is one."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def discard_all_but_pictures(self) -> None:
        """Remove everything but the pictures that a client sent; without any, the folder too.

        It writes nothing, so it cannot bring back what is removed at the same time.
        """
        if not self.has_pictures():
            self.discard()
            return
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path != self._pictures_path:
                    remove_tree(path)

    def _write(self, path: Path, content: bytes) -> None:
        self._write_file(path, content)
        self._on_saved()

    def _has(self, path: Path) -> bool:
        if not path.exists() and self._is_marked:
            check_marked(self._work_dir)
        return path.exists()  # the folder may have come back in between

    @property
    def _pictures_path(self) -> Path:
        return self.folder / "pictures.npy"

    @property
    def _checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def _losses_path(self) -> Path:
        return self.folder / "losses.json"

    @property
    def _outcomes_path(self) -> Path:
        return self.folder / "outcomes.json"

    def _images_path(self, concept: int) -> Path:
        return self.folder / f"images-{concept}.npy"

    def _search_path(self, concept: int) -> Path:
        return self.folder / f"ways-{concept}.json"

    def _pair_path(self, name: str) -> Path:
        return self.folder / "shown" / f"{name}.npz"


def _as_bytes(images: Images) -> bytes:
    content = io.BytesIO()
    np.save(content, images, allow_pickle=False)
    return content.getvalue()
