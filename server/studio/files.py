"""Files of the studio's page: all of them in memory, under a path that names their version."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "static"
MEDIA_TYPES: Mapping[str, str] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class StudioFiles:
    """The files by their paths below `static/`."""

    contents: Mapping[str, bytes]

    @cached_property
    def compressed(self) -> Mapping[str, bytes]:
        """The files as gzip, for clients that take it."""
        return {name: gzip.compress(content, 9, mtime=0) for name, content in self.contents.items()}

    @cached_property
    def version(self) -> str:
        """Hash over all files: modules of two versions are never mixed in one page."""
        whole = sha256()
        for name, content in sorted(self.contents.items()):
            whole.update(f"{name} {len(content)}\n".encode() + content)
        return whole.hexdigest()[:16]

    def named(self, suffix: str) -> list[str]:
        """Return the paths of all files with this suffix."""
        return sorted(name for name in self.contents if name.endswith(suffix))


@lru_cache
def studio_files() -> StudioFiles:
    """Read the files, once."""
    found = (path for path in sorted(_FOLDER.rglob("*")) if path.suffix in MEDIA_TYPES)
    return StudioFiles({path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in found})
