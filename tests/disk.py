"""A disk that can lose power: records the writes to a folder, and plays what a crash leaves.

`recorded` notes every call of `os` that changes the folder. `Disk` applies them to a model in which
content and names are lost until they are synced, as POSIX allows. `Disk.after_a_crash` yields what
may be found after a power cut.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Write = tuple[Any, ...]
"""A call that changes the disk: its name, then paths relative to the folder, or content."""

_CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_audited: list[str] = []
_listening = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Note each change that Python's own audit reports, whichever function made it."""
    if _listening and event in _CHANGES:
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & 3):
            return  # opened to be read
        _audited.append(f"{event} {arguments[0]}")


sys.addaudithook(_audit)


@contextmanager
def recorded(root: Path, patch: pytest.MonkeyPatch) -> Generator[list[Write]]:
    """Record the writes below `root` inside the `with` block.

    Afterwards it asserts that no write was missed: the model with all of them is what the folder
    holds, and Python's audit has as many attempts.
    """
    global _listening
    writes: list[Write] = []
    started = Disk.of(root)
    names: dict[int, str] = {}
    attempts = 0

    def inside(path: Any, at: int | None = None) -> str:
        folder = Path(os.readlink(f"/proc/self/fd/{at}")) if at is not None else Path()
        return (folder / os.fspath(path)).relative_to(root).as_posix()

    def wrap(name: str, note: Callable[..., None]) -> None:
        real = getattr(os, name)

        @functools.wraps(real)
        def recording(*arguments: Any, **options: Any) -> Any:
            nonlocal attempts
            is_change = name not in ("write", "fsync", "open")
            attempts += is_change or (name == "open" and bool(arguments[1] & 3))
            result = real(*arguments, **options)
            note(result, *arguments, **options)
            return result

        patch.setattr(os, name, recording)

    def opened(descriptor: int, path: Any, flags: int, *_: Any, **__: Any) -> None:
        names.pop(descriptor, None)
        if str(path).startswith(str(root)):
            names[descriptor] = inside(path)
            if flags & os.O_CREAT:
                writes.append(("create", inside(path)))

    def written(count: int, descriptor: int, data: Any) -> None:
        if descriptor in names:
            writes.append(("write", names[descriptor], bytes(data[:count])))

    def synced(_: None, descriptor: int) -> None:
        if descriptor in names:
            writes.append(("fsync", names[descriptor]))

    def moved(name: str) -> Callable[..., None]:
        return lambda _, old, new: writes.append((name, inside(old), inside(new)))

    def one(name: str) -> Callable[..., None]:
        def note(_: None, path: Any, *__: Any, dir_fd: int | None = None) -> None:
            writes.append((name, inside(path, dir_fd)))

        return note

    with patch.context() as patch:
        wrap("open", opened)
        wrap("write", written)
        wrap("fsync", synced)
        wrap("rename", moved("rename"))
        wrap("replace", moved("rename"))
        wrap("link", moved("link"))
        wrap("unlink", one("unlink"))
        wrap("remove", one("unlink"))
        wrap("mkdir", one("mkdir"))
        wrap("rmdir", one("rmdir"))
        _audited.clear()
        _listening = True
        try:
            yield writes
        finally:
            _listening = False
    assert attempts == len(_audited), (writes, _audited)
    for write in writes:
        started.apply(write)
    assert started.tree() == Disk.of(root).tree()


@dataclass
class _File:
    content: bytes = b""
    on_disk: bytes = b""


@dataclass
class _Folder:
    entries: dict[str, _File | _Folder] = field(default_factory=dict)
    on_disk: dict[str, _File | _Folder] = field(default_factory=dict)


Tree = dict[str, bytes | None]
"""Path → content of a file, or None for a folder."""


class Disk:
    """A folder as the system shows it, and as the disk has it."""

    def __init__(self) -> None:
        self._root = _Folder()

    @classmethod
    def of(cls, root: Path) -> Disk:
        """Read a folder, all of which is on the disk."""
        disk = cls()
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            new: _File | _Folder = _Folder()
            if path.is_file():
                new = _File(path.read_bytes(), path.read_bytes())
            parent, last = disk._parent(name)
            parent.entries[last] = parent.on_disk[last] = new
        return disk

    def apply(self, write: Write) -> None:
        """Do what a recorded call did."""
        name, path, *rest = write
        if name == "fsync":
            found = self._at(path)
            if isinstance(found, _File):
                found.on_disk = found.content
            else:
                found.on_disk = dict(found.entries)
            return
        if name == "write":
            found = self._at(path)
            assert isinstance(found, _File)
            found.content += rest[0]
            return
        parent, last = self._parent(path)
        match name:
            case "create":
                parent.entries[last] = _File()
            case "mkdir":
                parent.entries[last] = _Folder()
            case "unlink" | "rmdir":
                del parent.entries[last]
            case "link" | "rename":
                to, new = self._parent(rest[0])
                to.entries[new] = parent.entries[last]
                if name == "rename":
                    del parent.entries[last]
            case _:
                raise ValueError(write)

    def after_a_crash(self) -> Iterator[Tree]:
        """Yield what a power cut may leave now.

        Everything; only what was synced; all names, but unsynced content torn; and of the unsynced
        names those of one folder alone.
        """
        yield self.tree()
        yield self._walk(self._root, set(), bytes_of=lambda file: file.on_disk)
        everywhere = {id(folder) for folder in self._folders()}
        yield self._walk(self._root, everywhere, bytes_of=_torn)
        for folder in self._folders():
            if folder.entries != folder.on_disk:
                yield self._walk(self._root, {id(folder)}, bytes_of=_torn)

    def tree(self) -> Tree:
        """Return everything as the system shows it."""
        everywhere = {id(folder) for folder in self._folders()}
        return self._walk(self._root, everywhere, bytes_of=lambda file: file.content)

    def _walk(
        self, folder: _Folder, kept: set[int], bytes_of: Callable[[_File], bytes], path: str = ""
    ) -> Tree:
        found: Tree = {}
        entries = folder.entries if id(folder) in kept else folder.on_disk
        for name, entry in entries.items():
            if isinstance(entry, _File):
                found[path + name] = bytes_of(entry)
            else:
                found[path + name] = None
                found |= self._walk(entry, kept, bytes_of, f"{path}{name}/")
        return found

    def _folders(self) -> Iterator[_Folder]:
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += [entry for entry in folder.entries.values() if isinstance(entry, _Folder)]

    def _at(self, path: str) -> _File | _Folder:
        if path == ".":
            return self._root
        parent, last = self._parent(path)
        return parent.entries[last]

    def _parent(self, path: str) -> tuple[_Folder, str]:
        *folders, last = path.split("/")
        here = self._root
        for name in folders:
            found = here.entries[name]
            assert isinstance(found, _Folder)
            here = found
        return here, last


def _torn(file: _File) -> bytes:
    lost = len(file.content) - len(file.on_disk)
    return file.content if not lost else file.content[: len(file.on_disk) + lost // 2]


def crashes(root: Path, writes: list[Write], before: Disk) -> Iterator[tuple[int, Tree]]:
    """Yield each number of writes that were made, with each tree that a crash after them leaves."""
    for done in range(len(writes) + 1):
        if done:
            before.apply(writes[done - 1])
        seen: list[Tree] = []
        for tree in before.after_a_crash():
            if tree not in seen:
                seen.append(tree)
                yield done, tree


def lay(tree: Tree, folder: Path) -> Path:
    """Write a tree into a new folder, and return it."""
    folder.mkdir()
    for name, content in tree.items():
        if content is None:
            (folder / name).mkdir(parents=True, exist_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder
