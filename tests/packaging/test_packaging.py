"""What is written down twice is the same, and what the Makefile names exists."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from encoders.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BENTOFILE = yaml.safe_load((ROOT / "bentofile.yaml").read_text())


def test_the_bento_installs_what_the_project_depends_on() -> None:
    assert BENTOFILE["python"]["packages"] == PROJECT["project"]["dependencies"]
    assert BENTOFILE["python"]["lock_packages"] is False


def test_the_bento_holds_every_room_that_the_service_imports() -> None:
    rooms = set(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    included = {match[1] for p in BENTOFILE["include"] if (match := re.match(r"/(\w+)/\*\*/\*", p))}
    assert rooms == included
    assert "/starter/weights/**" in BENTOFILE["include"]


def test_every_dependency_is_pinned_within_its_bound() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line)
    assert pinned["torch"] == "2.13.0"
    extras = PROJECT["project"]["optional-dependencies"]["dev"]
    for dependency in PROJECT["project"]["dependencies"] + extras:
        match = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", dependency)
        assert match, f"{dependency!r} needs a lower bound, and nothing else"
        name, bound = match.groups()
        pin = pinned.get(name) or pinned[name.replace("-", "_")]
        assert [int(n) for n in pin.split(".")] >= [int(n) for n in bound.split(".")], dependency


@pytest.mark.parametrize("target", ["demo", "serve", "test", "test-slow", "bench-starter"])
def test_the_makefile_has_the_targets_that_are_promised(target: str) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert plan.returncode == 0, plan.stderr
    assert ".venv/bin/" in plan.stdout


def test_ci_runs_the_suite_that_the_readme_names() -> None:
    assert re.search(r"^make test </dev/null$", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_the_version_is_written_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"] == {
        "version": {"attr": "encoders.version.VERSION"}
    }
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


@pytest.mark.parametrize("package", ["encoders", "video", "unlearn", "server", "cli"])
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert PROJECT["tool"]["setuptools"]["package-data"]["*"] == ["py.typed"]
