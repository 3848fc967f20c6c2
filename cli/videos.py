"""`palimpsest videos`: list, show, follow, download and delete videos; list deleted ones."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli import files, show
from cli.client import api_path
from cli.connection import connect
from cli.errors import CommandFailed
from cli.jobs import follow
from cli.options import AsJson, ServerUrl

app = typer.Typer(
    no_args_is_help=True,
    help="Look at videos, follow them, download them, delete them.",
)

VideoId = Annotated[str, typer.Argument(metavar="ID", help="The video's id.")]
Variant = Literal["video", "thumbnail", "spritesheet"]
_SUFFIXES: dict[Variant, str] = {"video": ".mp4", "thumbnail": ".webp", "spritesheet": ".webp"}


@app.command("list")
def list_videos(
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="The most videos to list.")
    ] = 100,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """List the videos of your key, newest first."""
    with connect(server) as client:
        found = list(islice(client.pages(api_path("videos")), limit))
    if as_json:
        show.result(found)
    elif not found:
        show.line("There are no videos: `palimpsest generate` makes one.")
    else:
        rows = show.plain_table("id", "status", "model", "size", "seconds", "made", "prompt")
        for video in found:
            rows.add_row(
                video["id"],
                _state(video),
                video["model"],
                video["size"],
                video["seconds"],
                show.local_time(video["created_at"]),
                video["prompt"] or "",
            )
        show.table(rows)


@app.command("show")
def show_video(video_id: VideoId, server: ServerUrl = None, as_json: AsJson = False) -> None:
    """Show a video's prompt, its state and when it will be removed."""
    with connect(server) as client:
        video = client.get(api_path("videos", video_id))
    _print(video, as_json=as_json)


@app.command("follow")
def follow_video(video_id: VideoId, server: ServerUrl = None, as_json: AsJson = False) -> None:
    """Show a video's progress until it is made. Ctrl-C stops the command and not the video.

    If the video failed, the exit status is 1.
    """
    path = api_path("videos", video_id)
    with connect(server) as client:
        video = follow(client, path, client.get(path), video_id)
    _print(video, as_json=as_json)
    if video["status"] == "failed":
        raise CommandFailed(f"{video_id} failed: {video['error']['message']}")


@app.command("get")
def get_video(
    video_id: VideoId,
    output: Annotated[
        Path | None,
        typer.Option(
            *("--output", "-o"),
            metavar="FILE",
            help="Where it goes. Left out: here, under the video's id.",
        ),
    ] = None,
    variant: Annotated[
        Variant, typer.Option(help="The video, its first frame, or a sheet of its frames.")
    ] = "video",
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Download a finished video. No existing file is overwritten."""
    suffix = _SUFFIXES[variant]
    path = files.check_free(output) if output else files.free_name(video_id, suffix)
    with connect(server) as client:
        content = client.download(api_path("videos", video_id, "content"), variant=variant)
    files.create(path, content)
    if as_json:
        show.result({"id": video_id, "file": str(path), "variant": variant, "bytes": len(content)})
    else:
        show.line(f"{path}: {variant} of {video_id}, {len(content)} bytes")


@app.command("delete")
def delete_video(
    video_id: VideoId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Delete a video and its files, or cancel one that is being made."""
    path = api_path("videos", video_id)
    if not yes and not sys.stdin.isatty():
        raise CommandFailed(f"There is no terminal to ask: say --yes to delete {video_id}.")
    with connect(server) as client:
        client.get(path)
        if not (yes or show.confirm(f"Delete {video_id} for good?")):
            raise CommandFailed("Nothing is deleted.")
        answer = client.delete(path)
    show.result(answer) if as_json else show.line(f"{video_id} is deleted.")


@app.command("deleted")
def deleted_videos(
    video_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One video; left out: all that are kept.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the videos of this key.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="The most videos to list.")
    ] = 100,
    server: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show which key had deleted videos made, and with which encoder (with an admin's key).

    The server keeps a record for PALIMPSEST_DELETED_RECORD_RETENTION_SECONDS, by default none.
    """
    if video_id is not None and owner is not None:
        raise CommandFailed("Give an id or --owner, not both.")
    filters: dict[str, str] = {} if owner is None else {"owner": owner}
    path = api_path("deleted-videos")
    with connect(server) as client:
        if video_id is not None:
            found = [client.get(api_path("deleted-videos", video_id))]
        else:
            found = list(islice(client.pages(path, **filters), limit))
    if as_json:
        show.result(found if video_id is None else found[0])
        return
    if not found:
        show.line("There are no records of deleted videos.")
        return
    rows = show.plain_table("id", "key", "status", "model", "encoder's identity", "made", "deleted")
    for video in found:
        rows.add_row(
            video["id"],
            video["owner"],
            video["status"],
            video["model"],
            video["encoder_identity"] or "",
            show.local_time(video["created_at"]),
            show.local_time(video["deleted_at"]),
        )
    show.table(rows)


def _state(video: dict[str, Any]) -> str:
    if video["status"] == "in_progress":
        return f"in progress, {video['progress']} %"
    return str(video["status"])


def _print(video: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.result(video)
        return
    error = video["error"]
    facts = {
        "id": video["id"],
        "status": _state(video),
        "why": error["message"] if error else "",
        "prompt": video["prompt"] or "",
        "model": video["model"],
        "size": video["size"],
        "seconds": video["seconds"],
        "made": show.local_time(video["completed_at"]),
        "removed": show.local_time(video.get("expires_at")),
    }
    show.table(show.facts_table({name: text for name, text in facts.items() if text}))
