"""Files that a distribution of the project has to hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("server", "unlearn", "video", "marking", "encoders")
KINDS = (".py", ".html", ".css", ".js", ".txt", "py.typed")


def tracked_files() -> list[str]:
    """Return the project's files: tracked by git, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def runtime_files(*more: str) -> set[str]:
    """Return the files that run time needs: of the packages, the built-in model, and `more`.

    Args:
        more: further packages or modules, as paths below the root.
    """
    found = {
        name
        for name in tracked_files()
        if name.split("/")[0] in (*PACKAGES, *more) and name.endswith(KINDS)
    }
    return found | {name for name in tracked_files() if name.startswith("starter/weights/")}
