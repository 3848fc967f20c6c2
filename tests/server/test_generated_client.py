"""A client that openapi-python-client generates from the document makes an encoder and a video."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server.help import SERVER_TIMEOUT_S, running
from video import clip

pytestmark = pytest.mark.slow

PROGRAM = """
import sys, time
from made.client import AuthenticatedClient
from made.api.encoders import create_encoder, get_encoder, list_encoders
from made.api.videos import create_video, get_video, get_video_content
from made.models import EncoderRequest, VideoRequest

url, file = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token="none", raise_on_unexpected_status=True)

def wait(look, job):
    assert hasattr(job, "status"), job
    while job.status in ("queued", "in_progress"):
        time.sleep(0.2)
        job = look.sync(job.id, client=client)
    return job

body = EncoderRequest.from_dict({
    "id": "no-pogo", "concept": "pogo", "kind": "character",
    "settings": {"steps": 2}, "gate": {"max_probes": 2, "min_base_rate": 0},
})
encoder = wait(get_encoder, create_encoder.sync(client=client, body=body))
assert encoder.status == "published", encoder
assert [one.id for one in list_encoders.sync(client=client).data] == ["no-pogo"]
video = create_video.sync(client=client, body=VideoRequest(prompt="a meadow", encoder="no-pogo"))
video = wait(get_video, video)
assert video.status == "completed", video
content = get_video_content.sync_detailed(video.id, client=client)
open(file, "wb").write(content.content)
"""


def run(*command: str | Path, where: Path) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=4 * SERVER_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_generated_client_makes_an_encoder_and_a_video(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "generator", where=tmp_path)  # it needs an older typer
    python = tmp_path / "generator/bin/python"
    run(python, "-m", "pip", "install", "-q", "openapi-python-client", where=tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "config.yml").write_text(
        "package_name_override: made\n"
        "content_type_overrides:\n"
        "  video/mp4: application/octet-stream\n"
        "  image/webp: application/octet-stream\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    with running(quick_backbone_dir, home, min_forget_rate="0") as server:
        (tmp_path / "openapi.json").write_text(httpx.get(f"{server.url}/openapi.json").text)
        said = run(
            tmp_path / "generator/bin/openapi-python-client",
            *("generate", "--path", "openapi.json", "--meta", "none", "--output-path", "made"),
            *("--config", "config.yml"),
            where=tmp_path,
        )
        assert "made/api" in said or (tmp_path / "made/api/videos/create_video.py").exists(), said
        run(python, "program.py", server.url, "clip.mp4", where=tmp_path)
    frames = clip.decode_mp4((tmp_path / "clip.mp4").read_bytes())
    assert frames.shape[0] == 4
