"""The page about deployment: its links lead somewhere, and what it names exists."""

from __future__ import annotations

import re

import yaml

from server.settings import Settings
from tests.deploy.tools import CHART, ROOT
from tests.readme.test_docs import FILE, LINK, anchors

PAGE = ROOT / "deploy/README.md"
TEXT = PAGE.read_text()


def test_links_and_files_are_there() -> None:
    links = LINK.findall(TEXT)
    assert len(links) > 2
    for target, anchor in links:
        linked = PAGE.parent / target if target else PAGE
        assert linked.exists(), target
        assert not anchor or anchor[1:] in anchors(linked), f"{target}{anchor}"
    files = FILE.findall(TEXT) + [f"deploy/{name}" for name in re.findall(r"`(grafana/\S+)`", TEXT)]
    assert len(files) >= 3
    assert not [name for name in files if not (ROOT / name).exists()]


def test_settings_and_values_are_the_real_ones() -> None:
    named = set(re.findall(r"PALIMPSEST_([A-Z_]*[A-Z])\b", TEXT)) - {"NAME"}
    known = {name.upper() for name in Settings.model_fields}
    assert len(named) > 6
    assert named <= known
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    [table] = re.findall(r"^\| value \| becomes \|\n(.*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    rows = {name.split(".")[0] for name in _first_cells(table, r"[\w.…]+")}
    assert rows == {*values}


def test_build_arguments_are_those_of_the_dockerfile() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    declared = set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    own = declared - {"PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR"}
    [table] = re.findall(r"^\| build argument .*?\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert _first_cells(table, "[A-Z_]+") == own


def _first_cells(table: str, pattern: str) -> set[str]:
    """Return the names in the first column of a table."""
    cells = [row.split("|")[1] for row in table.splitlines() if row]
    return {name for cell in cells for name in re.findall(f"`({pattern})`", cell)}
