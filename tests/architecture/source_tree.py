"""The project's own source files, as the tests of this folder read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "cli",
    "server",
    "unlearn",
    "video",
    "marking",
    "encoders",
    "starter",
    "benchmarks",
    "deploy",
)


def modules() -> dict[str, Path]:
    """Map the dotted name of every module of the project to its file, tests apart."""
    files = [ROOT / "service.py", ROOT / "demo.py"]
    for room in ROOMS:
        files += sorted((ROOT / room).rglob("*.py"))
    return {_name(file): file for file in files}


def python_files() -> list[Path]:
    """List the Python files of the project, tests included."""
    found = list(modules().values())
    for folder in ("tests", "examples"):
        found += sorted((ROOT / folder).rglob("*.py"))
    return found


def docstrings(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each docstring, those below attributes included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        before: ast.stmt | None = None
        for statement in node.body:
            is_first = before is None
            follows_attribute = isinstance(before, ast.Assign | ast.AnnAssign)
            if isinstance(statement, ast.Expr) and (is_first or follows_attribute):
                value = statement.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield statement.lineno, value.value.strip()
            before = statement


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
