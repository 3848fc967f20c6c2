"""The folders of a data directory: one that was made once is expected to be there from then on."""

from __future__ import annotations

from pathlib import Path

from encoders.atomic_files import write_atomically
from encoders.folder_marker import MARKER, is_marked, mark
from server.storage.owned_names import MADE, MARKED_FOLDERS
from server.storage.storage_errors import StorageAway


def folders_of(data_dir: Path) -> list[Path]:
    """Return the folders whose content cannot be made again."""
    return [data_dir / name for name in MARKED_FOLDERS]


def prepare(data_dir: Path) -> None:
    """Make the folders that were not made yet, with their markers.

    Raises:
        StorageAway: A folder that was made earlier is away.
        OSError: A folder could not be made.
    """
    made = _made(data_dir)
    for folder in folders_of(data_dir):
        if folder.name not in made:
            mark(folder)
        elif not is_marked(folder):
            raise StorageAway(
                f"{folder} is away: it is not mounted, was renamed, or has lost the file {MARKER}. "
                f"Mount or restore it. If its content is lost for good, make the folder with an "
                f"empty file {MARKER} in it."
            )
    if not made.issuperset(MARKED_FOLDERS):
        write_atomically(data_dir / MADE, "\n".join(MARKED_FOLDERS).encode() + b"\n")


def was_made(folder: Path) -> bool:
    """Return True if this folder of a data directory was made earlier, and so has a marker."""
    return folder.name in _made(folder.parent)


def _made(data_dir: Path) -> set[str]:
    try:
        return set((data_dir / MADE).read_text().split())
    except FileNotFoundError:  # a new data directory, or one of an earlier version
        return set()
