"""A newcomer who follows the README: its fenced blocks, and what each command is tested with."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.main import get_command

from cli.main import app
from server.settings import Settings
from tests.server.help import ROOT, SERVER_TIMEOUT_S
from video.clip import decode_mp4, read_provenance

LIMIT_S = 4 * SERVER_TIMEOUT_S
"""Longest time for one command: whole clips are made, and the machine may be busy."""
README = (ROOT / "README.md").read_text()
ADDRESS = f"127.0.0.1:{Settings.model_fields['port'].default}"
MAKE = ["make", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.installed"]
"""make, with this test's environment as the installed one."""
SHORT = '"settings": {"steps": 30}'
"""Instead of 180 steps, which only change how well the encoder forgets."""
RUN = "import json, runpy, sys; names = runpy.run_path(sys.argv[1]); encoder = names.get('encoder')"
RUN += "; encoder and print(encoder.card.model_dump_json())"
"""Runs a file as a script, then prints the card of the encoder it made, if it made one."""


class UnknownCommand(Exception):
    """A command of the README that no test can run."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a Markdown page."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """Return the commands of a shell block, each with the lines that continue it."""
        return [c for c in re.split(r"(?<!\\)\n", self.text) if c.strip()]

    def __str__(self) -> str:
        return f"line-{self.line}-{self.language}"


def blocks_of(markdown: str) -> list[Block]:
    """Return every fenced block of any language, indented or fenced with tildes too."""
    fence = re.compile(r"^ *(```+|~~~+) *([^\n`]*)\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)
    return [
        Block(match[2].strip(), match[3], markdown.count("\n", 0, match.start()) + 1)
        for match in fence.finditer(markdown)
    ]


@dataclass
class Newcomer:
    """A reader who follows the README in a folder, against a server, with the last video's id."""

    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def follow(self, block: Block) -> None:
        """Run a block as far as it can be run here, and check its results.

        Raises:
            UnknownCommand: no test can run its language, or one of its commands.
        """
        if block.language == "python":
            self.python(block.text)
        elif block.language == "sh":
            for command in block.commands():
                program = next(word for word in command.split() if "=" not in word)
                run = {"make": self.make, "curl": self.curl, "palimpsest": self.palimpsest}.get(
                    program
                )
                if run is None and not command.startswith("export PALIMPSEST_"):
                    raise UnknownCommand(f"README.md, line {block.line}: {command}")
                if run is not None:
                    run(command)
        else:
            raise UnknownCommand(f"README.md, line {block.line}: a block of {block.language!r}")
        for name in re.findall(r"[\w-]+\.mp4", block.text):
            data = (self.folder / name).read_bytes()
            assert len(decode_mp4(data)) == 12
            assert read_provenance(data)["encoder_identity"] is not None  # not the base
        for name in re.findall(r"[\w-]+\.html", block.text):
            assert "<title>no-pogo" in (self.folder / name).read_text()

    def make(self, command: str) -> None:
        """Check make's plan only (`--dry-run`).

        `make serve` is the server of these tests, `make demo` has a slow test of its own, and
        `make test` is the suite that runs this.
        """
        plan = self._run([*MAKE, "--dry-run", *command.split()[1:]], cwd=ROOT)
        assert f"{sys.prefix}/bin/" in plan
        assert "pip install" not in plan

    def curl(self, command: str) -> None:
        """Send a request; one that looks at a job is repeated until the job has ended."""
        until = time.monotonic() + LIMIT_S
        asks = " -d " in command
        while True:
            printed = self._run(["bash", "-c", self._here(command)])
            answer: dict[str, Any] = json.loads(printed) if printed else {}
            assert not answer.get("error"), answer
            if asks or answer.get("status") not in ("queued", "in_progress"):
                break
            assert time.monotonic() < until, answer
            time.sleep(0.5)
        if answer.get("object") == "video":
            self.environment["VIDEO"] = answer["id"]
        if answer and not asks:
            assert answer["status"] in ("published", "completed")
            assert f"its `status` is `{answer['status']}`" in " ".join(README.split())

    def palimpsest(self, command: str) -> None:
        """Run a command; of `palimpsest serve` only parse the options and settings.

        It would serve a model from the Hub on a GPU.
        """
        if " serve " not in command:
            arguments = command.split(" ", 1)[1]
            self.environment["PALIMPSEST_SERVER"] = f"http://127.0.0.1:{self.port}"
            assert self._run(["bash", "-c", f"{sys.executable} -m cli {arguments}"])
            return
        before, _, after = command.partition("palimpsest serve ")
        options = (
            get_command(app)
            .commands["serve"]
            .make_context(  # type: ignore[attr-defined]
                "serve", shlex.split(after)
            )
        )
        given = dict(setting.split("=", 1) for setting in before.split())
        names = {name.removeprefix("PALIMPSEST_").lower(): value for name, value in given.items()}
        settings = Settings.model_validate(
            names | {name: value for name, value in options.params.items() if value is not None}
        )
        owner_and_name = settings.backbone.split("/")
        assert len(owner_and_name) == 2
        assert settings.device == "cuda"

    def python(self, text: str) -> None:
        """Run a script, in a folder where it finds the model as in the checkout."""
        (self.folder / "block.py").write_text(self._here(text))
        printed = self._run([sys.executable, "-W", "ignore", "-c", RUN, "block.py"])
        if "encoder = " in text:
            *steps, card = printed.splitlines()
            assert [one["name"] for one in json.loads(card)["concepts"]] == ["pogo"]
            numbers = [int(line.split()[0]) for line in steps]
            assert numbers == list(range(1, len(steps) + 1))

    def _here(self, text: str) -> str:
        """Return a text with this server's address, and an encoder's making as short as may be."""
        short = text.replace('"kind": "character"}\'', f'"kind": "character", {SHORT}}}\'')
        return short.replace(ADDRESS, f"127.0.0.1:{self.port}")

    def _run(self, command: list[str], cwd: Path | None = None) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **self.environment},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout
