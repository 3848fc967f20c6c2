"""Attempts at an encoder job: where each writes, and what it inherits from those before it."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable

from encoders.blob_store import BlobStore

MOST_BYTES = 1 << 32
_INHERITED = "inherited.json"


def path_of(job_id: str, attempt: int, name: str) -> str:
    """Return the path of an attempt's result; of attempt 0, in the job's folder itself."""
    return f"{job_id}/{attempt}/{name}" if attempt else f"{job_id}/{name}"


def read(blobs: BlobStore, path: str) -> bytes:
    """Return a result that was saved.

    Raises:
        FileNotFoundError: It is gone: the job was deleted.
        OSError: It cannot be read just now.
    """
    content = blobs.read(path, MOST_BYTES)
    if content is None:
        raise FileNotFoundError(errno.ENOENT, "a result of a job is gone", path)
    return content


class Inheritance:
    """Results of earlier attempts at a job that an attempt began with.

    They are noted at its first look, since an earlier attempt may write on.

    Args:
        blobs: The folder of all workspaces.
        job_id: The job's id.
        attempt: The attempt.
        is_wanted: Returns False once the job was deleted. Then nothing is written.
    """

    def __init__(
        self, blobs: BlobStore, job_id: str, attempt: int, is_wanted: Callable[[], bool]
    ) -> None:
        self._blobs = blobs
        self._job_id = job_id
        self._attempt = attempt
        self._is_wanted = is_wanted
        self._known: dict[str, int] | None = None

    def attempts(self) -> dict[str, int]:
        """Return the attempt that made each result, by the result's name."""
        if self._known is None:
            path = path_of(self._job_id, self._attempt, _INHERITED)
            is_first = self._attempt <= 1
            noted = b"{}" if is_first else self._blobs.read(path, MOST_BYTES)
            found = self._left_before() if noted is None else json.loads(noted)
            if noted is None and self._is_wanted():
                self._blobs.put_all({path: json.dumps(found).encode()})
            self._known = found
            return found
        return self._known

    def _left_before(self) -> dict[str, int]:
        """Return what the attempt before this one had, with what it had inherited itself."""
        by_attempt: dict[int, dict[str, int]] = {0: {}}
        for item in self._blobs.walk(self._job_id):
            place = item.path.removeprefix(f"{self._job_id}/")
            folder, _, name = place.partition("/")
            attempt, name = (int(folder), name) if folder.isdecimal() else (0, place)
            by_attempt.setdefault(attempt, {})[name] = attempt
        last = max(attempt for attempt in by_attempt if attempt < self._attempt)
        found = by_attempt[last]
        if found.pop(_INHERITED, None) is not None:
            noted = read(self._blobs, path_of(self._job_id, last, _INHERITED))
            found = {**json.loads(noted), **found}
        return found
