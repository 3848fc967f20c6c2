"""Names that the server gives what it stores: whatever has another name is not its own.

A data directory may hold files of other programs and of people, above all one that was named by
mistake. So a start refuses a directory that was never a server's, and whatever removes files or
changes their rights keeps to these names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from encoders import PalimpsestError
from encoders.atomic_files import UNFINISHED, finished_name, is_draft
from encoders.folder_marker import MARKER, is_marked
from server.storage.unfinished_copy import refusal

MARKED_FOLDERS = ("videos", "encoders", "drafts", "making")
"""Folders whose content cannot be made again. Each has a marker (`encoders.folder_marker`)."""
MADE = ".folders"
"""File with the names of those of them that were made."""
COPYING = ".unfinished-copy"
"""File of a directory that is being filled (`server.storage.unfinished_copy`)."""
WORKSPACES = "making"
BASE_CLIPS = "base-clips"
STORES = ("encoders", "drafts")

VIDEO_ID = re.compile(r"video_[0-9a-f]{32}")
JOB_ID = re.compile(r"encoder_[0-9a-f]{32}")
"""Id of an encoder's job, and so the name of its workspace."""
DRAFT_PATH = re.compile(re.escape(UNFINISHED) + r"/[0-9a-f]{32}")
"""Path of a video's folder that is being written, in `videos/`."""
CLIP_ID = re.compile(r"[0-9a-f]{64}")
"""Name of a file in `base-clips/`."""

_DATABASES = ("records.sqlite", "jobs.sqlite")
_FILES = {MADE, ".probe", "server.lock", "server.log"} | {
    name + end for name in _DATABASES for end in ("", "-wal", "-shm", "-journal")
}
_PROOFS = (MADE, "server.lock", *_DATABASES)
"""Files of which a server or `palimpsest keys` writes one before anything else."""
_STORE_FOLDERS = frozenset(("encoders", "aliases"))
_OF_VOLUMES = {"lost+found", ".snapshot", ".snapshots", ".zfs", ".DS_Store"}
_NOBODYS = _OF_VOLUMES | {".gitignore", ".gitkeep", ".keep"}
"""Names that file systems put into an empty volume, and people into an empty folder."""
_LISTED = 3


class ForeignDirectory(PalimpsestError):
    """Error: the data directory holds other things than a server's data, and nothing of one."""

    code = "data_dir_foreign"


def is_servers(data_dir: Path) -> bool:
    """Return True if a directory is there, and has a file of which each server's has one."""
    return any(os.path.lexists(data_dir / name) for name in _PROOFS)


def check_own(data_dir: Path) -> None:
    """Check that a directory is absent, empty or a server's; change nothing in it.

    What can be in a server's directory before its first start is no obstacle: volumes mounted at
    its folders, a store of encoders, BentoML's files, the log, `keys.json`.

    Raises:
        ForeignDirectory: It is another program's, or a person's, or is just being filled. The
            message says what it holds.
        OSError: It cannot be read.
    """
    if os.path.lexists(data_dir / COPYING):
        raise ForeignDirectory(refusal(str(data_dir.absolute())))
    if is_servers(data_dir):
        return
    try:
        foreign = sorted(path.name for path in data_dir.iterdir() if not _may_come_first(path))
    except FileNotFoundError:
        return
    if foreign:
        names = ", ".join(repr(name[:80]) for name in foreign[:_LISTED])
        more = f" and {len(foreign) - _LISTED} more" if len(foreign) > _LISTED else ""
        raise ForeignDirectory(
            f"{str(data_dir.absolute())!r} is no data directory of Palimpsest, and not empty: it "
            f"has {names}{more}, and none of {', '.join(_PROOFS)}. Nothing in it was changed. Set "
            "PALIMPSEST_DATA_DIR to a new or empty directory, or, if it is a server's, restore its "
            "records.sqlite."
        )


def check_empty(data_dir: Path) -> None:
    """Check that a directory is absent or has nothing but what an empty volume has.

    Raises:
        ForeignDirectory: It has something.
        OSError: It cannot be read.
    """
    try:
        found = sorted(path.name for path in data_dir.iterdir() if not _is_nothing(path))
    except FileNotFoundError:
        return
    if found:
        raise ForeignDirectory(
            f"{str(data_dir.absolute())!r} is not empty: it has {found[0][:80]!r}. Name a new or "
            "empty directory."
        )


def owned(data_dir: Path, *, without: Collection[str] = ()) -> Iterator[Path]:
    """Yield the files and folders of a data directory that the server made, and no others.

    Args:
        data_dir: The directory, which is yielded too.
        without: Names of folders to leave out.
    """
    yield data_dir
    for path in _entries(data_dir):
        if path.name in without:
            continue
        if path.name in _FILES or is_draft_of(path.name, MADE):
            yield path
        elif path.is_symlink() or not path.is_dir():
            continue
        elif path.name in (*MARKED_FOLDERS, BASE_CLIPS):
            yield path
            for entry in _entries(path):
                if _is_owned(path.name, entry.name):
                    yield from _tree(entry)
        elif path.name == "bentoml":
            yield from _tree(path)


def leftover_drafts(data_dir: Path) -> Iterator[Path]:
    """Yield the unfinished files that the server left outside of its stores."""
    for path in owned(data_dir, without=(*STORES, "bentoml")):
        if path != data_dir and is_draft(path.name):
            yield path


def is_draft_of(name: str, finished: str | re.Pattern[str]) -> bool:
    """Return True for the name under which a file of this name, or pattern, is written first."""
    of = finished_name(name)
    if of is None or isinstance(finished, str):
        return of == finished
    return finished.fullmatch(of) is not None


def _is_owned(folder: str, name: str) -> bool:
    if name == MARKER or is_draft_of(name, MARKER):
        return folder != BASE_CLIPS
    match folder:
        case "videos":
            return name == UNFINISHED or VIDEO_ID.fullmatch(name) is not None
        case "making":
            return JOB_ID.fullmatch(name) is not None
        case "base-clips":
            return CLIP_ID.fullmatch(name) is not None or is_draft_of(name, CLIP_ID)
        case _:
            return name in _STORE_FOLDERS


def _is_nothing(path: Path) -> bool:
    if path.name in _NOBODYS:
        return True
    if path.name not in MARKED_FOLDERS or not path.is_dir():
        return False
    return all(entry.name in _NOBODYS for entry in path.iterdir())  # a volume's mount point


def _may_come_first(path: Path) -> bool:
    """Return True for what can be in a data directory before a server was started on it."""
    if path.name in _NOBODYS or path.name in _FILES:
        return True
    if path.name == "keys.json":
        return path.is_file()
    if not path.is_dir():
        return False
    if path.name in ("bentoml", "devices"):
        return True
    if path.name not in (*MARKED_FOLDERS, BASE_CLIPS):
        return False
    if is_marked(path):
        return True
    names = {entry.name for entry in path.iterdir()} - _NOBODYS
    return names <= (_STORE_FOLDERS if path.name in STORES else set[str]())


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # removed meanwhile, or not this user's
        return []


def _tree(path: Path) -> Iterator[Path]:
    """Yield a path and everything below it. Links are yielded, and not followed."""
    yield path
    if path.is_symlink():
        return
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in (*folders, *files))
