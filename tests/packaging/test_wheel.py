"""The wheel holds every file that the packages need at run time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from encoders.version import VERSION
from tests.packaging.help import ROOT, runtime_files, tracked_files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from the files that git lists, so that no stale `build/` takes part."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", out, source], check=True, timeout=240)
    [path] = out.glob("*.whl")
    return path


def test_the_wheel_holds_what_the_packages_need(wheel: Path) -> None:
    assert wheel.name.startswith(f"palimpsest-{VERSION}-")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    needed = runtime_files("service.py", "demo.py", "cli", "starter")
    assert {"service.py", "cli/main.py", "starter/weights/model_index.json"} <= needed
    assert not needed - names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]
