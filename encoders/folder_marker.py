"""Marker of a folder: a hidden file that is there for as long as the folder's content is.

A folder can be renamed, or its disk unmounted, which leaves an empty folder in its place. Then what
is not found in it says nothing. The marker tells such a folder from one in which a file is absent.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from encoders.atomic_files import make_folder, write_atomically

MARKER = ".palimpsest-folder"
_TEXT = b"Palimpsest takes this folder for unmounted if this file is not in it.\n"


def mark(folder: Path) -> None:
    """Create the folder and its marker, unless they are there.

    Raises:
        OSError: They could not be created.
    """
    make_folder(folder)
    if not is_marked(folder):
        write_atomically(folder / MARKER, _TEXT)


def is_marked(folder: Path) -> bool:
    """Return True if the marker is in the folder.

    Raises:
        OSError: Nobody can tell just now.
    """
    try:
        os.stat(folder / MARKER)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_marked(folder: Path) -> None:
    """Check that the folder, which was marked once, is there.

    Raises:
        OSError: It is away, or nobody can tell just now. Its number is that of a disk that is gone,
            which passes when the disk is back.
    """
    if not is_marked(folder):
        raise OSError(errno.ENODEV, f"the folder is away, or has lost its {MARKER}", str(folder))
