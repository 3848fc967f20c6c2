"""Image builds without a daemon: buildah, a base of Debian's packages, and pip's own indexes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
BASE = "docker.io/library/python:3.11-slim"
"""Name of the base in `deploy/Dockerfile` and in BentoML's. The one made here takes its place."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TOOLS = ("mmdebstrap", "buildah", "podman", "runc")
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_INDEXES = ("extra-index-url", "find-links")


class CheckFailed(Exception):
    """Something is not as it should be; the message says what, and what to do."""


@dataclass(frozen=True)
class PipSettings:
    """pip's settings on this machine, which a build needs too: indexes, links, certificates."""

    values: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def read(cls) -> PipSettings:
        """Read what `pip config list` says; a variable goes before a file."""
        command = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        values: dict[str, str] = {}
        for section in ("global", "install", ":env:"):
            found = re.findall(rf"^{section}\.([\w-]+)='(.*)'$", listed, re.MULTILINE)
            values |= dict(found)
        names = ("index-url", "cert", *_INDEXES)
        return cls({name: values[name] for name in names if values.get(name)})

    def build_arguments(self) -> list[str]:
        """Return the arguments of `deploy/Dockerfile` that hand these settings on."""
        values = self.values | ({"cert": CERTIFICATES} if "cert" in self.values else {})
        given = [f"PIP_{name.upper().replace('-', '_')}={value}" for name, value in values.items()]
        if any(name in values for name in _INDEXES):
            given.append("TORCH_INDEX_URL=")  # one of these has a torch for CPUs
        return [word for argument in given for word in ("--build-arg", argument)]

    def volumes(self) -> list[str]:
        """Return the mounts by which a build sees local folders and certificates at their paths."""
        words = " ".join(self.values.get(name, "") for name in _INDEXES).split()
        paths = [Path(urlsplit(word).path) for word in words if not word.startswith("http")]
        mounts = [f"{path}:{path}:ro" for path in _outermost(paths) if path.is_dir()]
        if "cert" in self.values:
            mounts.append(f"{self.values['cert']}:{CERTIFICATES}:ro")
        return mounts

    def uv_settings(self) -> str:
        """Return the same as uv's configuration, which BentoML's Dockerfile installs with."""
        pins = re.findall(r"^[\w-]+==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        lines = ["system-certs = true", 'index-strategy = "unsafe-best-match"']
        lines.append(f"constraint-dependencies = {json.dumps(pins)}")
        if "index-url" in self.values:
            lines.append(f"index-url = {json.dumps(self.values['index-url'])}")
        for word in self.values.get("extra-index-url", "").split():
            lines += ["[[index]]", f"url = {json.dumps(word)}"]
        for word in self.values.get("find-links", "").split():
            lines += ["[[index]]", f"url = {json.dumps(word)}", 'format = "flat"']
        return "\n".join(lines) + "\n"


class ImageBuilder:
    """buildah and podman, with a storage of their own, so that no image of yours is touched.

    Args:
        work: Folder of the storage, which is removed at the end; the base in it is kept.
        base: An image for a registry to give; None makes one with mmdebstrap.
    """

    def __init__(self, work: Path, base: str | None = None) -> None:
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise CheckFailed(
                f"{', '.join(missing)} cannot be found: apt-get install {' '.join(TOOLS)}"
            )
        if os.geteuid() != 0:
            raise CheckFailed(
                "a build in a chroot needs root: run it with sudo, or in a virtual machine"
            )
        self._work, self._base = work, base
        self.pip = PipSettings.read()
        self.remove()
        work.mkdir(parents=True, exist_ok=True)
        (work / "uv.toml").write_text(self.pip.uv_settings())
        self._configure()

    def _configure(self) -> None:
        storage = self._work / "storage.conf"
        driver = os.environ.get("STORAGE_DRIVER") or _storage_driver(self._work)
        storage.write_text(
            f'[storage]\ndriver = "{driver}"\n'
            f'graphroot = "{self._work}/graph"\nrunroot = "{self._work}/run"\n'
        )
        containers = self._work / "containers.conf"
        volumes = [*self.pip.volumes(), f"{self._work}/uv.toml:/etc/uv/uv.toml:ro"]
        containers.write_text(
            f'[containers]\nvolumes = {json.dumps(volumes)}\n[engine]\nruntime = "runc"\n'
        )
        self.driver = driver
        self.environment = os.environ | {
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERS_CONF": str(containers),
            "BUILDAH_ISOLATION": "chroot",
            "BUILDAH_FORMAT": "docker",  # the other format has no HEALTHCHECK
        }

    def run(self, *command: str | Path) -> str:
        """Run a command with this storage and return its standard output.

        Raises:
            CheckFailed: It failed; the message has the end of what it wrote.
        """
        done = self.attempt(*command)
        if done.returncode:
            end = (done.stdout + done.stderr)[-3000:]
            raise CheckFailed(f"{' '.join(map(str, command[:4]))} … failed:\n{end}")
        return done.stdout.strip()

    def attempt(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command with this storage, and return its status and what it wrote."""
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def make_base(self) -> None:
        """Put a base into the storage, under the name that the Dockerfiles have."""
        if self._base is not None:
            self.run("podman", "pull", self._base)
            self.run("podman", "tag", self._base, BASE)
            return
        tar = self._work / "base.tar"
        if not tar.exists():
            part = tar.with_suffix(".part.tar")
            # As the images of Python are: `python` is there, and pip may install for all users.
            hooks = (
                'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
                'ln -sf python3 "$1"/usr/bin/python',
            )
            hooked = [f"--customize-hook={hook}" for hook in hooks]
            command = ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", *hooked]
            self.run(*command, "bookworm", part)
            part.rename(tar)
        self.run("podman", "import", tar, BASE)

    def build(self, tag: str) -> float:
        """Build `deploy/Dockerfile` and return the seconds that it took."""
        began = time.monotonic()
        arguments = [*self.pip.build_arguments(), "--file", "deploy/Dockerfile", "--tag", tag]
        self.run("buildah", "build", "--pull-never", *arguments, ".")
        return time.monotonic() - began

    def build_bento(self, tag: str) -> float:
        """Build the Bento and, by `bentoml containerize`, its image; return the seconds."""
        self.environment["BENTOML_HOME"] = str(self._work / "bentoml")
        self.environment["BENTOML_DO_NOT_TRACK"] = "True"
        began = time.monotonic()
        bentoml = (sys.executable, "-m", "bentoml")
        self.run(*bentoml, "build")
        options = ("--backend", "buildah", "--image-tag", tag)
        self.run(*bentoml, "containerize", "palimpsest:latest", *options)
        if not self.run("podman", "images", "--quiet", tag):
            raise CheckFailed("bentoml containerize ended well, and there is no image")
        return time.monotonic() - began

    def megabytes(self, tag: str) -> float:
        """Return an image's size in 10⁶ bytes."""
        return int(self.run("podman", "image", "inspect", "--format", "{{.Size}}", tag)) / 1e6

    def remove(self) -> None:
        """Remove the storage with all its images and containers."""
        for name in ("graph", "run", "bentoml"):
            shutil.rmtree(self._work / name, ignore_errors=True)


def _outermost(paths: Sequence[Path]) -> list[Path]:
    # A local index refers to files beside it, `../../files/…`.
    tops = {path.parent if path.name == "simple" else path for path in paths}
    return sorted(path for path in tops if not any(other in path.parents for other in tops))


def _storage_driver(work: Path) -> str:
    """Return `overlay` if this machine can mount one in the folder, else `vfs`, which copies."""
    trial = work / "overlay"
    for name in ("lower", "upper", "scratch", "merged"):
        (trial / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={trial}/lower,upperdir={trial}/upper,workdir={trial}/scratch"
    mount = ("mount", "-t", "overlay", "overlay", "-o", options, str(trial / "merged"))
    works = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if works:
        subprocess.run(("umount", str(trial / "merged")), check=True)
    shutil.rmtree(trial, ignore_errors=True)
    return "overlay" if works else "vfs"
