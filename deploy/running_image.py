"""A container of the image, as a cluster runs it: no root, no capability, a read-only root."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import secrets
import shutil
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.image_builder import CheckFailed, ImageBuilder

GRACE_S = 20
"""Seconds that a container gets to end; the server's own drain takes 8 at most."""
_READY_S, _VIDEO_S = 180, 180
_FILES, _PROCESSES = 8192, 4096
_NAME = "palimpsest-image-check"


class RunningImage:
    """A running container, reached over HTTP.

    Args:
        builder: The storage that the image is in.
        port: The port, on this machine.
        key: The secret of an admin's key.
    """

    def __init__(self, builder: ImageBuilder, port: int, key: str) -> None:
        self._builder = builder
        self._base = f"http://127.0.0.1:{port}"
        self._key = key

    def ask(self, method: str, path: str, body: object | None = None) -> bytes:
        """Send a request and return its answer's body.

        Raises:
            OSError: There is no answer, or it is an error.
        """
        request = urllib.request.Request(self._base + path, method=method)
        request.add_header("Authorization", f"Bearer {self._key}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def wait_until_ready(self) -> float:
        """Return the seconds until `/readyz` is 200."""
        began = time.monotonic()
        while time.monotonic() - began < _READY_S:
            try:
                self.ask("GET", "/readyz")
                return time.monotonic() - began
            except OSError:  # refused, or 503
                time.sleep(0.5)
            if self.state("Running") != "true":
                break
        raise CheckFailed(f"the server did not become ready:\n{self.log()}")

    def begin_video(self, steps: int) -> Any:
        """Have a video accepted that the built-in model makes, and return the record."""
        body = {"prompt": "pogo bouncing in a meadow", "seed": 1, "steps": steps}
        return json.loads(self.ask("POST", "/v1/videos", body))

    def make_video(self) -> bytes:
        """Have a short video made and return its mp4."""
        video = self.begin_video(steps=4)
        deadline = time.monotonic() + _VIDEO_S
        while video["status"] in ("queued", "in_progress"):
            if time.monotonic() > deadline:
                raise CheckFailed(f"the video was not made in {_VIDEO_S} s: {video}")
            time.sleep(0.5)
            video = json.loads(self.ask("GET", f"/v1/videos/{video['id']}"))
        if video["status"] != "completed":
            raise CheckFailed(f"the video was not made: {video}")
        return self.ask("GET", f"/v1/videos/{video['id']}/content")

    def inside(self, *command: str) -> str:
        """Run a command in the container and return its output, if it fails too."""
        return self._builder.attempt("podman", "exec", _NAME, *command).stdout.strip()

    def is_healthy(self) -> bool:
        """Run the image's HEALTHCHECK."""
        self._builder.run("podman", "healthcheck", "run", _NAME)
        return True

    def state(self, name: str) -> str:
        """Return a field of the container's state."""
        return self._builder.run("podman", "inspect", "--format", f"{{{{.State.{name}}}}}", _NAME)

    def stop(self) -> float:
        """Stop the container as an orchestrator does, by SIGTERM, and return the seconds.

        Raises:
            CheckFailed: It had to be killed, or its exit status is not 0.
        """
        began = time.monotonic()
        self._builder.run("podman", "stop", "--time", str(GRACE_S), _NAME)
        took = time.monotonic() - began
        if took >= GRACE_S or self.state("ExitCode") != "0":
            status = self.state("ExitCode")
            raise CheckFailed(f"stopped after {took:.1f} s with status {status}:\n{self.log()}")
        return took

    def log(self) -> str:
        """Return the end of the server's log."""
        done = self._builder.attempt("podman", "logs", "--tail", "30", _NAME)
        return (done.stdout + done.stderr)[-4000:]


@contextmanager
def running(
    builder: ImageBuilder, image: str, folder: Path, *, user: int, port: int, has_cli: bool
) -> Generator[RunningImage]:
    """Run an image and stop it at the end.

    Args:
        builder: The storage that the image is in.
        image: The image.
        folder: Folder for its volumes, made anew.
        user: The user in the image, who is to own the volumes.
        port: The port to listen on.
        has_cli: The image runs any command of `palimpsest`, so that `keys create` makes the key.
            Otherwise a keys file declares it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("data", "cache"):
        (folder / name).mkdir(parents=True)
        os.chown(folder / name, user, user)
    options = [
        *hardening(),
        f"--volume={folder}/data:/var/lib/palimpsest",
        f"--volume={folder}/cache:/var/cache/palimpsest",
        "--env=PALIMPSEST_HOST=0.0.0.0",
        f"--env=PALIMPSEST_PORT={port}",
        "--env=PALIMPSEST_DATA_DIR=/var/lib/palimpsest",
        # BentoML's image has it on the root file system.
        "--env=BENTOML_HOME=/var/lib/palimpsest/bentoml",
    ]
    if has_cli:
        make = ("keys", "create", "check", "--role", "admin")
        secret = builder.run("podman", "run", "--rm", *options, image, *make).split()[-1]
    else:
        secret = secrets.token_urlsafe(32)
        _declare(secret, folder / "keys.json", user)
        options += [f"--volume={folder}/keys.json:/run/keys.json:ro"]
        options += ["--env=PALIMPSEST_KEYS_FILE=/run/keys.json"]
    builder.run("podman", "run", "--detach", "--name", _NAME, *options, image)
    try:
        yield RunningImage(builder, port, secret)
    finally:
        builder.attempt("podman", "rm", "--force", _NAME)
        shutil.rmtree(folder, ignore_errors=True)


def _declare(secret: str, file: Path, user: int) -> None:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    file.write_text(json.dumps({"keys": [{"id": "check", "sha256": digest, "role": "admin"}]}))
    file.chmod(0o400)
    os.chown(file, user, user)


def hardening() -> list[str]:
    """Return podman's options for a container without rights, in the network of this machine."""
    # podman's own limits are above what some machines allow, even for root.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    limits = [f"--ulimit=nofile={most}:{most}", f"--ulimit=nproc={_PROCESSES}:{_PROCESSES}"]
    rights = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
    return [*rights, "--tmpfs=/tmp", "--network=host", *limits]
