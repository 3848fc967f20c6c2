"""Files that a command writes; no existing file is ever overwritten."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from cli.errors import CommandFailed


def check_free(path: Path) -> Path:
    """Return the path if a file can be created there. Call it before work that takes long.

    Raises:
        CommandFailed: The path exists, or its folder does not.
    """
    if path.exists() or path.is_symlink():
        raise CommandFailed(f"{path} exists already: name another file, or remove it first.")
    if not path.absolute().parent.is_dir():
        raise CommandFailed(f"There is no folder {path.parent}: make it first.")
    return path


def create(path: Path, content: bytes) -> None:
    """Write a new file, or none if writing fails. Raises CommandFailed, OSError."""
    check_free(path)
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def read(path: Path) -> bytes:
    """Return a file's content. Raises CommandFailed."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error


def free_name(words: str, suffix: str) -> Path:
    """Return a path in the current folder that does not exist yet, named after some words."""
    stem = re.sub(r"[^\w]+", "-", words.lower()).strip("-")[:60].strip("-") or "video"
    names = (Path(f"{stem}{f'-{n}' if n > 1 else ''}{suffix}") for n in count(1))
    return next(path for path in names if not path.exists())
