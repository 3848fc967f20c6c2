"""Lists that are written down twice agree, and the names in the Makefile and the suite exist."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
import yaml

from encoders.version import VERSION
from tests.conftest import MARKED
from tests.packaging.help import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BENTOFILE = yaml.safe_load((ROOT / "bentofile.yaml").read_text())


def test_the_bento_installs_what_the_project_depends_on() -> None:
    assert BENTOFILE["python"]["packages"] == PROJECT["project"]["dependencies"]
    assert BENTOFILE["python"]["lock_packages"] is False


def test_the_bento_holds_every_package_that_the_service_imports() -> None:
    layers = set(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    patterns = (re.fullmatch(r"/(\w+)/\*\*/\*\.py", name) for name in BENTOFILE["include"])
    assert layers | {"cli"} == {match[1] for match in patterns if match}
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


@pytest.mark.parametrize(
    "target", ["demo", "serve", "test", "test-fast", "test-slow", "bench-starter"]
)
def test_the_makefile_has_the_targets_that_are_promised(target: str) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert plan.returncode == 0, plan.stderr
    assert ".venv/bin/" in plan.stdout


def test_ci_runs_the_suite_that_the_readme_names() -> None:
    assert re.search(r"^make test </dev/null$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"run": ".ci/run"} in workflow["jobs"]["suite"]["steps"]


def test_a_commit_is_checked_by_the_linters_of_make_lint() -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, timeout=30
    ).stdout
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]]
    linted = [line.removesuffix(" .") for line in plan.splitlines() if not line.startswith("make")]
    assert len(entries) == 4
    assert entries == linted[-4:]


@pytest.mark.parametrize(("marker", "path"), [(m, p) for m, paths in MARKED.items() for p in paths])
def test_the_paths_that_are_marked_exist(marker: str, path: str) -> None:
    assert marker in {
        line.split(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]
    }
    assert (ROOT / "tests" / path).exists()


def test_the_version_is_written_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"] == {
        "version": {"attr": "encoders.version.VERSION"}
    }
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


@pytest.mark.parametrize("package", ["encoders", "marking", "video", "unlearn", "server", "cli"])
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert PROJECT["tool"]["setuptools"]["package-data"]["*"] == ["py.typed"]
