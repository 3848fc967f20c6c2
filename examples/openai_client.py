"""Make a video with the official `openai` client.

    python examples/openai_client.py "pogo bouncing in a meadow" --encoder no-pogo -o pogo.mp4

The server's address is `--server` or `PALIMPSEST_SERVER`, the key `PALIMPSEST_API_KEY`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

from openai import OpenAI

# The client warns that OpenAI's own video API shuts down. This server keeps the API's shape.
# pyright: reportDeprecated=false
warnings.filterwarnings("ignore", message="The Sora API")

POLL_SECONDS = 0.5


def main() -> None:
    """Ask for a video, show its progress, and write the mp4."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("prompt")
    parser.add_argument(
        "--encoder", help="an encoder's id or an alias; the key's default if absent"
    )
    parser.add_argument("--seed", type=int, help="the same seed and encoder give the same clip")
    parser.add_argument("-o", "--output", type=Path, default=Path("video.mp4"))
    parser.add_argument(
        "--server", default=os.environ.get("PALIMPSEST_SERVER", "http://127.0.0.1:3000")
    )
    arguments = parser.parse_args()

    key = os.environ.get("PALIMPSEST_API_KEY", "none")  # a server without keys ignores it
    client = OpenAI(base_url=f"{arguments.server}/v1", api_key=key)
    print("models:", ", ".join(model.id for model in client.models.list()))

    # Fields that OpenAI's API does not have go into `extra_body`.
    extra = {"encoder": arguments.encoder, "seed": arguments.seed}
    video = client.videos.create(
        prompt=arguments.prompt,
        extra_body={name: value for name, value in extra.items() if value is not None},
    )
    while video.status in ("queued", "in_progress"):
        print(f"{video.status}: {video.progress} %")
        time.sleep(POLL_SECONDS)
        video = client.videos.retrieve(video.id)
    if video.status == "failed":
        sys.exit(f"The video failed: {video.error.message if video.error else 'no reason given'}")
    client.videos.download_content(video.id).write_to_file(arguments.output)
    print(f"{arguments.output}: {video.seconds} seconds of {video.size} by {video.model}")


if __name__ == "__main__":
    main()
