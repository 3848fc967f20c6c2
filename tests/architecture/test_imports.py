"""No import circle of any kind: the linter cannot see those under TYPE_CHECKING as one."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import modules


def imported(file: Path, known: Collection[str]) -> Iterator[str]:
    """Yield the project's modules that a file imports, at any depth and for any purpose."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                if module in known:
                    yield module
                elif node.module in known:
                    yield node.module


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    """Raise AssertionError that names the modules of the first circle found."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_imports_run_one_way() -> None:
    files = modules()
    assert len(files) > 250
    graph = {name: set(imported(file, files)) for name, file in files.items()}
    assert sum(map(len, graph.values())) > 1000
    assert_no_circle(graph)


def test_a_circle_is_found(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("def call():\n    from room.second import helper\n")
    second.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room import first\n"
    )
    files = {"room.first": first, "room.second": second}
    graph = {name: set(imported(file, files)) for name, file in files.items()}
    with pytest.raises(AssertionError, match=r"room\.first imports room\.second"):
        assert_no_circle(graph)
