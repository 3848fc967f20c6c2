"""``make demo``: from nothing to a model that has forgotten, over HTTP, in a few minutes.

Starts the server, asks it for an encoder that forgets a character, makes the same clips with the
base and with the new encoder (same prompt, same seed), and another concept's with both. Leaves the
mp4s and a labelled contact sheet in ``demo-out/``, prints what the judge saw, and stops the server.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from encoders import Kind
from unlearn.judge import ClassifierJudge
from video.clip import decode_mp4, enlarge

ROOT = Path(__file__).resolve().parent
CONCEPT, KIND = "pogo", "character"
ENCODER = "no-pogo"
JUDGE_SIZE = (64, 64)
SHEET_FRAMES = 4
TILE = 160
START_LIMIT_S = 120

console = Console()


@dataclass(frozen=True)
class Shot:
    """One prompt, made with the base and with the encoder, from the same seed."""

    prompt: str
    concept: str
    kind: Kind
    seed: int

    def path(self, folder: Path, encoder: str) -> Path:
        """Where its clip is written."""
        return folder / f"{self.concept}-{self.seed}-{encoder}.mp4"


SHOTS = [
    Shot("pogo bouncing in a meadow", CONCEPT, KIND, 1),
    Shot("the purple one-eyed robot spinning in a room", CONCEPT, KIND, 2),
    Shot("a teapot swaying by the sea", "teapot", "object", 3),
]


class DemoFailed(Exception):
    """Something that the demo cannot go on from, in words for whoever ran it."""


def main() -> None:
    """Run the demo; exit status 1 and one line of reason if it cannot."""
    parser = argparse.ArgumentParser(prog="make demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "demo-out", help="default: demo-out")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped then too
    try:
        with server(out / "server.log") as client:
            encoder = make_encoder(client)
            for shot in SHOTS:
                for name in ("base", ENCODER):
                    shot.path(out, name).write_bytes(make_video(client, shot, name))
    except (DemoFailed, httpx.TransportError) as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    clips = {
        (shot, name): decode_mp4(shot.path(out, name).read_bytes())
        for shot in SHOTS
        for name in ("base", ENCODER)
    }
    contact_sheet(clips).save(out / "contact-sheet.png")
    console.print(judged(clips))
    measures = {k: v for k, v in encoder["measures"].items() if isinstance(v, int | float)}
    console.print("Measured before it was published:", measures)
    console.print(f"Clips and contact sheet: {out}")


@contextmanager
def server(log: Path) -> Generator[httpx.Client]:
    """A server of our own on a free port, with nothing in its store; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="palimpsest-demo-") as data, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", "service:Palimpsest"],
            cwd=ROOT,
            env={
                **os.environ,
                "PALIMPSEST_PORT": str(port),
                "PALIMPSEST_HOST": "127.0.0.1",
                "PALIMPSEST_DATA_DIR": data,
                "BENTOML_HOME": f"{data}/bentoml",
                "BENTOML_DO_NOT_TRACK": "True",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                with console.status("Starting the server …"):
                    wait_ready(client, process, log)
                console.print(f"Server ready on port {port} (log: {log})")
                yield client
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the models are loaded."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass  # the port is not open yet
        time.sleep(0.25)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise DemoFailed(f"The server did not become ready. The end of {log}:\n{tail}")


def make_encoder(client: httpx.Client) -> dict[str, Any]:
    """Ask for the encoder and follow it until it is published."""
    body = {"id": ENCODER, "concept": CONCEPT, "kind": KIND}
    job = answer(client.post("/v1/encoders", json=body))
    with progress_bar() as progress:
        task = progress.add_task(f"An encoder that forgets {CONCEPT}", total=100, phase="")
        while job["status"] not in ("published", "failed"):
            progress.update(task, completed=job["progress"], phase=job["phase"])
            time.sleep(0.3)
            job = answer(client.get(f"/v1/encoders/{ENCODER}"))
        progress.update(task, completed=job["progress"], phase=job["phase"])
    if job["status"] == "failed":
        raise DemoFailed(f"The encoder failed: {job['error']}; measures {job['measures']}")
    return job


def make_video(client: httpx.Client, shot: Shot, encoder: str) -> bytes:
    """The mp4 of one prompt with one encoder."""
    body = {"prompt": shot.prompt, "encoder": encoder, "seed": shot.seed}
    job = answer(client.post("/v1/videos", json=body))
    with progress_bar() as progress:
        task = progress.add_task(f"“{shot.prompt}”", total=100, phase=encoder)
        while job["status"] in ("queued", "in_progress"):
            progress.update(task, completed=job["progress"])
            time.sleep(0.2)
            job = answer(client.get(f"/v1/videos/{job['id']}"))
        progress.update(task, completed=job["progress"])
    if job["status"] == "failed":
        raise DemoFailed(f"The video failed: {job['error']}")
    content = client.get(f"/v1/videos/{job['id']}/content")
    answer(content, is_json=False)
    return content.content


def answer(response: httpx.Response, *, is_json: bool = True) -> dict[str, Any]:
    """The JSON of an answer that is not an error."""
    if response.is_error:
        raise DemoFailed(f"{response.request.method} {response.url}: {response.text}")
    return response.json() if is_json else {}


def progress_bar() -> Progress:
    """A bar with a phase beside it."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[phase]}"),
        TimeElapsedColumn(),
        console=console,
    )


Clips = dict[tuple[Shot, str], NDArray[np.uint8]]


def judged(clips: Clips) -> Table:
    """In how many frames the built-in model's judge sees what the prompt names."""
    judge = ClassifierJudge.load(ROOT / "starter" / "weights" / "judge")
    table = Table("prompt", "concept", "base", ENCODER, title="Frames in which the judge sees it")
    for shot in SHOTS:
        cells: list[str] = []
        for name in ("base", ENCODER):
            frames = enlarge(clips[shot, name], JUDGE_SIZE)
            seen = judge.shows(frames, shot.concept, shot.kind)
            cells.append(f"{sum(seen)} of {len(seen)}")
        table.add_row(shot.prompt, shot.concept, *cells)
    return table


def contact_sheet(clips: Clips) -> Image.Image:
    """A row a prompt: frames of the base's clip on the left, of the encoder's on the right."""
    gap, label, head, seam = 24, 34, 44, 4
    half = SHEET_FRAMES * (TILE + seam) - seam
    size = (2 * half + 3 * gap, head + len(SHOTS) * (TILE + label) + gap)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    title, text = ImageFont.load_default(22), ImageFont.load_default(17)
    columns = {"base": gap, ENCODER: 2 * gap + half}
    for name, left in columns.items():
        caption = "base" if name == "base" else f"{name}: “{CONCEPT}” unlearned"
        draw.text((left, 12), caption, "black", title)
    for row, shot in enumerate(SHOTS):
        top = head + row * (TILE + label)
        draw.text((gap, top + 8), f"“{shot.prompt}”, seed {shot.seed}", "#444444", text)
        for name, left in columns.items():
            frames = enlarge(clips[shot, name], (TILE, TILE))
            chosen = np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int)
            for column, index in enumerate(chosen):
                tile = Image.fromarray(frames[index])
                sheet.paste(tile, (left + column * (TILE + seam), top + label))
    return sheet


if __name__ == "__main__":
    main()
