"""The other pages: their links lead somewhere, and the files and settings they name exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from server.auth.keys import Key
from server.settings import Settings
from tests.server.help import ROOT

PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "CONTRIBUTING.md", ROOT / "README.md"])
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
ROOM = r"encoders|video|unlearn|server|cli|starter|benchmarks|deploy|tests|examples|docs"
FILE = re.compile(rf"`((?:{ROOM})/[\w/.-]*)`")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_are_there(page: Path) -> None:
    text = page.read_text()
    for target, anchor in LINK.findall(text):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor[1:] in anchors(linked), f"{target}{anchor}"
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    assert not missing


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text()
    records = sorted(ROOT.glob("docs/adr/0*.md"))
    assert len(records) >= 8
    for record in records:
        assert f"]({record.name})" in listed
        for heading in ("Context", "Choice", "Turned down", "Consequences"):
            assert f"\n## {heading}\n" in record.read_text(), record.name


def test_settings_named_on_the_pages_exist() -> None:
    known = {f"PALIMPSEST_{name.upper()}" for name in Settings.model_fields}
    known |= {"PALIMPSEST_SERVER", "PALIMPSEST_API_KEY"}  # the command line's
    named = {
        name
        for page in PAGES
        for name in re.findall(r"PALIMPSEST_[A-Z_]*[A-Z]\b", page.read_text())
    }
    assert len(named) > 20
    assert named <= known


def test_the_keys_file_on_the_page_has_every_field() -> None:
    [block] = re.findall(
        r"^```json\n(.*?)^```$", (ROOT / "docs/SETTINGS.md").read_text(), re.MULTILINE | re.DOTALL
    )
    [key] = json.loads(block)["keys"]
    assert key.keys() == Key.model_fields.keys()
