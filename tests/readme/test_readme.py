"""The README, block by block: what a block needs, the blocks above it made.

The server is the README's own `make serve`, on another port, with data of its own and a gate that
publishes every encoder: how good encoders are is measured elsewhere. Requests, scripts and
`palimpsest` commands really run. The other `make` commands are only planned (`--dry-run`), and the
`palimpsest serve` lines, which name models on the Hub, are only parsed (`tests.readme.help`).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from _pytest.mark import ParameterSet
from PIL import Image

from tests.readme.help import (
    ADDRESS,
    LIMIT_S,
    MAKE,
    README,
    Block,
    Newcomer,
    UnknownCommand,
    blocks_of,
)
from tests.server.help import ROOT, SERVER_TIMEOUT_S, free_port, wait_ready
from video.clip import decode_mp4, read_provenance
from video.families import FAMILIES

GATE_OPEN = {
    "PALIMPSEST_GATE_TIER": "quick",
    "PALIMPSEST_WAYS_PICTURES": "8",
    "PALIMPSEST_MIN_BASE_RATE": "0",
    "PALIMPSEST_MIN_FORGET_RATE": "0",
    "PALIMPSEST_MAX_RETAIN_DROP": "1",
    "PALIMPSEST_MAX_PROBES": "1",
    "PALIMPSEST_JUDGED_VIDEOS": "1",
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """Start `make serve` and yield its port once it is ready."""
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
        process.terminate()  # make passes it on to the server
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SERVER_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def newcomer(port: int, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """Return one newcomer for all blocks."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "starter").symlink_to(ROOT / "starter")
    return Newcomer(folder, port)


def marked(block: Block) -> ParameterSet:
    """Return a block as a test's parameter."""
    return pytest.param(block, id=str(block))


@pytest.mark.timeout(3 * LIMIT_S)
@pytest.mark.parametrize("block", [marked(block) for block in blocks_of(README)])
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
def test_a_block_that_no_test_can_run_fails(markdown: str, tmp_path: Path) -> None:
    [block] = blocks_of(markdown)
    newcomer = Newcomer(tmp_path, free_port())
    newcomer.curl = lambda command: None
    with pytest.raises(UnknownCommand, match=r"README\.md, line 1"):
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
        assert (read_provenance(data)["encoder_identity"] is None) == name.endswith("-base.mp4")
    with Image.open(out / "contact-sheet.png") as sheet:
        assert min(sheet.size) > 500
        assert len(sheet.convert("L").getcolors(256) or []) > 20
