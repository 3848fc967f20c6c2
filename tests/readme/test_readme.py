"""Every command of the README is run, from top to bottom: what a block needs, those above it made.

The server is the README's own `make serve`, on a port and with data of its own, and with a gate
that publishes whatever the weights are: how good they are is measured elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.main import get_command

from cli.main import app
from server.settings import Settings
from tests.server.help import ROOT, SERVER_TIMEOUT_S, free_port, wait_ready
from video.clip import decode_mp4, read_provenance
from video.families import FAMILIES

LIMIT = 4 * SERVER_TIMEOUT_S
"""How long the slowest command may take: whole clips are made, on a machine that may be busy."""
README = (ROOT / "README.md").read_text()
ADDRESS = f"127.0.0.1:{Settings.model_fields['port'].default}"
GATE_OPEN = {
    "PALIMPSEST_MIN_BASE_RATE": "0",
    "PALIMPSEST_MIN_FORGET_RATE": "0",
    "PALIMPSEST_MAX_RETAIN_DROP": "1",
    "PALIMPSEST_MAX_PROBES": "1",
    "PALIMPSEST_JUDGED_VIDEOS": "1",
}
MAKE = ["make", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.installed"]
"""make, with the environment that runs this test as the one that is installed already."""
RUN = "import json, runpy, sys; names = runpy.run_path(sys.argv[1]); encoder = names.get('encoder')"
RUN += "; encoder and print(encoder.card.model_dump_json())"
"""Runs a file as a script, then prints the card of the encoder that it left, if it left one."""


class NobodyRuns(Exception):
    """A command of the README that no test knows how to run."""


@dataclass(frozen=True)
class Block:
    """A fenced block of the README."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """The commands of a shell block, each with the lines that continue it."""
        return [c for c in re.split(r"(?<!\\)\n", self.text) if c.strip()]

    def __str__(self) -> str:
        return f"line-{self.line}-{self.language}"


def blocks_of(markdown: str) -> list[Block]:
    """Every fenced block, whatever its language, even one indented or fenced with tildes."""
    fence = re.compile(r"^ *(```+|~~~+) *([^\n`]*)\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)
    return [
        Block(match[2].strip(), match[3], markdown.count("\n", 0, match.start()) + 1)
        for match in fence.finditer(markdown)
    ]


@dataclass
class Newcomer:
    """Somebody who follows the README: in a folder, against a server, with the last video's id."""

    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def follow(self, block: Block) -> None:
        """Do what a block says, and check what came of it.

        Raises:
            NobodyRuns: its language, or one of its commands, is not known here.
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
                    raise NobodyRuns(f"README.md, line {block.line}: {command}")
                if run is not None:
                    run(command)
        else:
            raise NobodyRuns(f"README.md, line {block.line}: a block of {block.language!r}")
        for name in re.findall(r"[\w-]+\.mp4", block.text):
            data = (self.folder / name).read_bytes()
            assert len(decode_mp4(data)) == 12
            assert read_provenance(data)["encoder"] == "no-pogo"
        for name in re.findall(r"[\w-]+\.html", block.text):
            assert "<title>no-pogo" in (self.folder / name).read_text()

    def make(self, command: str) -> None:
        """Only what it would do: `make serve` is the server here, `make demo` has its own test, and
        `make test` is what is running.
        """
        plan = self._run([*MAKE, "--dry-run", *command.split()[1:]], cwd=ROOT)
        assert f"{sys.prefix}/bin/" in plan
        assert "pip install" not in plan

    def curl(self, command: str) -> None:
        """A request; one that only looks at a job is made again until the job has ended."""
        until = time.monotonic() + LIMIT
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
        """A command; of one that serves a model from the Hub, whether it would be understood."""
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
        """A script, in a folder from which the model is found as from the checkout."""
        (self.folder / "block.py").write_text(self._here(text))
        printed = self._run([sys.executable, "-W", "ignore", "-c", RUN, "block.py"])
        if "encoder = " in text:
            *steps, card = printed.splitlines()
            assert [one["name"] for one in json.loads(card)["concepts"]] == ["pogo"]
            numbers = [int(line.split()[0]) for line in steps]
            assert numbers == list(range(1, len(steps) + 1))

    def _here(self, text: str) -> str:
        return text.replace(ADDRESS, f"127.0.0.1:{self.port}")

    def _run(self, command: list[str], cwd: Path | None = None) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **self.environment},
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """The port of `make serve`, ready."""
    home, port = tmp_path_factory.mktemp("serve"), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if "PALIMPSEST" not in name},
        **GATE_OPEN,
        "PALIMPSEST_PORT": str(port),
        "PALIMPSEST_DATA_DIR": str(home / "data"),
        "PALIMPSEST_THREADS": "1",
        "BENTOML_HOME": str(home / "bentoml"),
        "OMP_NUM_THREADS": "1",
    }
    log = home / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*MAKE, "serve"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            try:
                wait_ready(client)
            except AssertionError as error:
                raise AssertionError(log.read_text()[-4000:]) from error
        yield port
    finally:
        process.terminate()  # which make passes on
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SERVER_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def newcomer(port: int, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """One newcomer for all blocks."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "starter").symlink_to(ROOT / "starter")
    return Newcomer(folder, port)


@pytest.mark.timeout(3 * LIMIT)
@pytest.mark.parametrize("block", blocks_of(README), ids=str)
def test_a_block_of_the_readme_does_what_it_says(block: Block, newcomer: Newcomer) -> None:
    newcomer.follow(block)


def test_the_readme_has_a_line_for_every_family() -> None:
    for family in FAMILIES:
        assert f"--backbone {family.example} " in README, family.name


def test_every_fence_of_the_readme_belongs_to_a_block() -> None:
    fences = [line for line in README.splitlines() if line.lstrip().startswith(("```", "~~~"))]
    assert len(fences) == 2 * len(blocks_of(README)) > 0


@pytest.mark.parametrize(
    "markdown",
    ["```sh\ncurl -s x\ndocker run x\n```\n", "```\nls\n```\n", "~~~yaml\na: 1\n~~~\n"],
)
def test_a_block_that_nobody_knows_how_to_run_fails(markdown: str, tmp_path: Path) -> None:
    [block] = blocks_of(markdown)
    newcomer = Newcomer(tmp_path, free_port())
    newcomer.curl = lambda command: None
    with pytest.raises(NobodyRuns, match=r"README\.md, line 1"):
        newcomer.follow(block)


def test_the_server_has_the_documentation_the_readme_speaks_of(port: int) -> None:
    assert f"http://{ADDRESS}" in README
    for path in re.findall(r"`(/\w+)`", README):
        assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200, path


def test_what_the_readme_points_to_is_there() -> None:
    targets = re.findall(r"\]\((?!http)([^)]+)\)", README)
    targets += re.findall(r"`([\w./]+(?:/|\.py))`", README.partition("## Where things are")[2])
    assert len(targets) > 8
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_make_demo_leaves_clips_and_a_contact_sheet(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [*MAKE, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=2300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Frames in which the judge sees it" in done.stdout
    out = tmp_path / "demo-out"
    clips = {path.name: path.read_bytes() for path in out.glob("*.mp4")}
    assert len(clips) == 6
    for name, data in clips.items():
        assert len(decode_mp4(data)) == 12
        assert name.removesuffix(".mp4").endswith(f"-{read_provenance(data)['encoder']}")
    with Image.open(out / "contact-sheet.png") as sheet:
        assert min(sheet.size) > 500
        assert len(sheet.convert("L").getcolors(256) or []) > 20
