"""Rules of the house that no linter has: docstrings, length of files, one name for one thing."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

from tests.architecture.source_tree import ROOT, docstrings, modules, python_files

MAX_LINES = 300
# A docstring begins with a verb or with a noun of the field, not with a question.
QUESTION = re.compile(r"(What|How|Whether|Who|Whoever|Whose|Where|That)\b")
COMMON_WORDS = frozenset({"main"})


def test_docstrings_do_not_open_with_a_question() -> None:
    texts = [(file, line, text) for file in python_files() for line, text in docstrings(file)]
    assert len(texts) > 1000
    odd = [
        f"{file.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for file, line, text in texts
        if QUESTION.match(text)
    ]
    assert not odd, "\n".join(odd)


def test_a_question_is_found(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""Module."""\nx = 1\n"""Whether it is one."""\n')
    assert [bool(QUESTION.match(text)) for _, text in docstrings(file)] == [False, True]


def test_no_file_is_too_long() -> None:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    sources = [ROOT / name for name in tracked if Path(name).suffix in {".py", ".js", ".css"}]
    assert len(sources) > 300
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources
        if (lines := len(file.read_text().splitlines())) > MAX_LINES
    }
    assert not long


def test_no_two_public_classes_share_a_name() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for name, file in modules().items():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    assert len(homes) > 100
    assert not {name: found for name, found in homes.items() if len(found) > 1}
