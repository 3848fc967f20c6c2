"""`make demo`: from nothing to a model that has forgotten, over HTTP, in a few minutes.

The demo starts a server, makes an encoder that forgets a character, and makes the same clips with
the base and with the new encoder (same prompt, same seed), also clips of another concept. It writes
the mp4s and a labelled contact sheet to `demo-out/`, prints what the judge saw, and stops the
server.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from cli import show
from cli.client import Client, api_path
from cli.errors import CommandFailed
from cli.jobs import run_job
from cli.own_server import own_server
from encoders import Kind
from unlearn.judges.classifier import ClassifierJudge
from video.clip import decode_mp4, enlarge

ROOT = Path(__file__).resolve().parent
CONCEPT, KIND = "pogo", "character"
ENCODER = "no-pogo"
JUDGE_SIZE = (64, 64)
SHEET_FRAMES = 4
TILE = 160

console = Console()


@dataclass(frozen=True)
class Shot:
    """One prompt, made with the base and with the encoder from the same seed."""

    prompt: str
    concept: str
    kind: Kind
    seed: int

    def path(self, folder: Path, encoder: str) -> Path:
        """Return the path of the clip that an encoder makes of it."""
        return folder / f"{self.concept}-{self.seed}-{encoder}.mp4"


SHOTS = [
    Shot("pogo bouncing in a meadow", CONCEPT, KIND, 1),
    Shot("the purple one-eyed robot spinning in a room", CONCEPT, KIND, 2),
    Shot("a teapot swaying by the sea", "teapot", "object", 3),
]


def main() -> None:
    """Run the demo; if it fails, print one line and exit with status 1."""
    parser = argparse.ArgumentParser(prog="make demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "demo-out", help="default: demo-out")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    log = out / "server.log"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit stops the server too
    try:
        with TemporaryDirectory(prefix="palimpsest-demo-") as data, ExitStack() as stack:
            with show.spinner("Starting the server …"):
                client = stack.enter_context(own_server(Path(data), log))
            console.print(f"Server ready at {client.url} (log: {log})")
            encoder = make_encoder(client)
            for shot in SHOTS:
                for name in ("base", ENCODER):
                    shot.path(out, name).write_bytes(make_video(client, shot, name))
    except CommandFailed as error:
        show.error(str(error))
        sys.exit(1)
    clips = {
        (shot, name): decode_mp4(shot.path(out, name).read_bytes())
        for shot in SHOTS
        for name in ("base", ENCODER)
    }
    contact_sheet(clips).quantize(256).save(out / "contact-sheet.png", optimize=True)
    console.print(judged(clips))
    measures = {k: v for k, v in encoder["measures"].items() if isinstance(v, int | float)}
    console.print("Measured before it was published:", measures)
    console.print(f"Clips and contact sheet: {out}")


def make_encoder(client: Client) -> dict[str, Any]:
    """Make the encoder, and return its job once it is published."""
    body = {"id": ENCODER, "concept": CONCEPT, "kind": KIND}
    job = run_job(client, "encoders", body, f"An encoder that forgets {CONCEPT}")
    if job["status"] == "failed":
        raise CommandFailed(f"The encoder failed: {job['error']}; measures {job['measures']}")
    return job


def make_video(client: Client, shot: Shot, encoder: str) -> bytes:
    """Return the mp4 of one prompt with one encoder."""
    body = {"prompt": shot.prompt, "encoder": encoder, "seed": shot.seed}
    job = run_job(client, "videos", body, f"“{shot.prompt}”, {encoder}")
    if job["status"] == "failed":
        raise CommandFailed(f"The video failed: {job['error']}")
    return client.download(api_path("videos", job["id"], "content"))


Clips = dict[tuple[Shot, str], NDArray[np.uint8]]


def judged(clips: Clips) -> Table:
    """Count the frames in which the built-in model's judge sees the concept of the prompt."""
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
    """Draw one row a prompt: frames of the base's clip on the left, the encoder's on the right."""
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
