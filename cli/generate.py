"""`palimpsest generate`: make a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import files, show
from cli.client import api_path
from cli.connection import connect
from cli.errors import CommandFailed
from cli.jobs import run_job
from cli.options import AsJson, ServerUrl


def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the video is to show.")],
    output: Annotated[
        Path | None,
        typer.Option(
            *("--output", "-o"),
            metavar="FILE",
            help="Where the mp4 goes. Left out: here, under a name made of the prompt.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The encoder: its id, an alias, or base for the unmodified one. Left out: the "
            "key's default, which without keys is base.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same video.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="How many frames.")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, max=30, help="How closely to follow the prompt.")
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the video is not to show.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Of the mp4 in pixels, such as 512x512."),
    ] = None,
    fps: Annotated[int | None, typer.Option(min=1, max=60, help="Frames a second.")] = None,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a video from a prompt.

    What is left out takes the model's own value. The mp4 says in its metadata how it was made,
    encoder and seed included. Ctrl-C cancels it on the server.
    """
    path = files.check_free(output) if output else files.free_name(prompt, ".mp4")
    options = {
        "prompt": prompt,
        "encoder": encoder,
        "seed": seed,
        "steps": steps,
        "frames": frames,
        "guidance": guidance,
        "negative_prompt": negative_prompt,
        "size": size,
        "fps": fps,
    }
    body = {name: value for name, value in options.items() if value is not None}
    with connect(server) as client:
        video = run_job(client, "videos", body, f"“{prompt}”")
        if video["status"] == "failed":
            if as_json:
                show.result(video)
            raise CommandFailed(f"The video failed: {video['error']['message']}")
        content = client.download(api_path("videos", video["id"], "content"))
    files.create(path, content)
    from video.clip import read_provenance  # PyAV takes half a second to import

    provenance = read_provenance(content)
    if as_json:
        show.result({**video, "file": str(path), "provenance": provenance})
        return
    encoder_used = video["model"].partition(":")[2] or "base"
    show.line(
        f"{path}: {video['seconds']} s of {video['size']}, {provenance['frames']} frames; encoder "
        f"{encoder_used}, seed {provenance['seed']}"
    )
