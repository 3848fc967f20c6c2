"""Third-party clients against a started server: OpenAI's, BentoML's and curl."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import bentoml
import httpx
import numpy as np
import openai
import pytest
from bentoml.exceptions import BentoMLException

from tests.server.help import (
    ROOT,
    SERVER_TIMEOUT_S,
    Server,
    assert_error,
    bearer,
    free_port,
    running,
    wait_for,
    write_keys,
)
from video import clip

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API")

BASE_KEY, BOUND_KEY = "secret-admin", "secret-acme"
PROMPT = "pogo in a meadow"


@pytest.fixture(scope="module")
def server(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Yield a server with an admin's key, a key bound to an encoder, and that encoder."""
    home = tmp_path_factory.mktemp("server")
    keys = write_keys(
        home / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["no-pogo"]},
    )
    fast = {"min_base_rate": 0, "max_probes": 2, "judged_videos": 1}
    with running(quick_backbone_dir, home, keys_file=keys, **fast) as server:
        body = {"id": "no-pogo", "concept": "pogo", "kind": "character", "settings": {"steps": 2}}
        answer = server.client.post("/v1/encoders", json=body, headers=bearer(BASE_KEY))
        assert answer.status_code == 200, answer.text
        until = time.monotonic() + SERVER_TIMEOUT_S
        while answer.json()["status"] not in ("published", "failed"):
            assert time.monotonic() < until, answer.text
            time.sleep(0.1)
            answer = server.client.get("/v1/encoders/no-pogo", headers=bearer(BASE_KEY))
        assert answer.json()["status"] == "published", answer.text
        yield server


def openai_client(server: Server, key: str = BASE_KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key)


def encoder_in(data: bytes) -> str:
    digest = clip.read_provenance(data)["encoder_identity"]
    return "base" if digest is None else "no-pogo"  # there is no other


def test_the_openai_client_does_all_it_can(server: Server) -> None:
    client = openai_client(server)
    created = client.videos.create(
        prompt=PROMPT, model="tiny", size="64x64", extra_body={"seed": 7, "steps": 2}
    )
    assert created.status == "queued"
    assert client.videos.poll(created.id).status == "completed"
    video: Any = client.videos.create_and_poll(
        prompt=PROMPT, model="tiny:no-pogo", seconds="0.5", size="128x128"
    )
    assert (video.status, video.seconds, video.size) == ("completed", "0.5", "128x128")
    assert video.model == "tiny:no-pogo"
    assert client.videos.retrieve(video.id).progress == 100
    data = client.videos.download_content(video.id).content
    assert encoder_in(data) == "no-pogo"
    assert clip.decode_mp4(data).shape == (4, 128, 128, 3)
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").content
    assert thumbnail[8:12] == b"WEBP"
    made = [client.videos.create(prompt=PROMPT, extra_body={"steps": 1}).id for _ in range(3)]
    listed = [video.id for video in client.videos.list(limit=2)]  # page after page
    assert listed[:3] == made[::-1]
    assert {created.id, video.id} <= set(listed)
    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.retrieve(video.id)
    assert missing.value.code == "not_found"
    assert {model.id for model in client.models.list()} == {"tiny", "tiny:no-pogo"}
    assert client.models.retrieve("tiny:no-pogo").id == "tiny:no-pogo"


def test_the_openai_client_understands_what_goes_wrong(server: Server) -> None:
    client = openai_client(server)
    with pytest.raises(openai.BadRequestError) as bad:
        client.videos.create(prompt=PROMPT, seconds="12")
    assert bad.value.param == "seconds"
    with pytest.raises(openai.BadRequestError, match="text only"):
        client.videos.create(prompt=PROMPT, input_reference=b"image")
    with pytest.raises(openai.AuthenticationError):
        openai_client(server, "wrong").videos.list()
    bound = openai_client(server, BOUND_KEY)
    with pytest.raises(openai.PermissionDeniedError) as denied:
        bound.videos.create(prompt=PROMPT, model="tiny:base")
    assert denied.value.code == "encoder_not_allowed"
    video = bound.videos.create_and_poll(prompt=PROMPT, model="tiny")
    assert encoder_in(bound.videos.download_content(video.id).content) == "no-pogo"
    assert [model.id for model in bound.models.list()] == ["tiny:no-pogo"]


def test_bentomls_client_makes_a_video_under_the_same_rules(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url, token=BASE_KEY) as client:
        for encoder in ("base", "no-pogo"):
            path = client.generate(prompt=PROMPT, encoder=encoder, seed=3)
            assert encoder_in(Path(path).read_bytes()) == encoder
    with bentoml.SyncHTTPClient(server.url, token=BOUND_KEY) as client:
        path = client.generate(prompt=PROMPT)
        assert encoder_in(Path(path).read_bytes()) == "no-pogo"
        for encoder in ("base", "other", "tiny"):
            with pytest.raises(BentoMLException, match="may not use"):
                client.generate(prompt=PROMPT, encoder=encoder)


def test_the_native_route_is_no_way_around_the_keys(server: Server) -> None:
    body = {"prompt": PROMPT}
    assert_error(server.client.post("/generate", json=body), 401)
    wrong = server.client.post("/generate", json=body, headers=bearer("wrong"))
    assert_error(wrong, 401, code="invalid_api_key")
    for encoder in ("base", "other", ""):
        sent = {**body, "encoder": encoder}
        answer = server.client.post("/generate", json=sent, headers=bearer(BOUND_KEY))
        assert_error(answer, 403, code="encoder_not_allowed")
        form = {name: (None, value) for name, value in sent.items()}
        answer = server.client.post("/generate", files=form, headers=bearer(BOUND_KEY))
        assert answer.status_code >= 400
    # A field the route does not know must not choose the encoder.
    sent = {**body, "model": "tiny:base"}
    answer = server.client.post("/generate", json=sent, headers=bearer(BOUND_KEY))
    assert answer.status_code >= 400 or encoder_in(answer.content) == "no-pogo"
    for sent in ({}, {"prompt": ""}, {"prompt": PROMPT, "seed": -1}, {"prompt": 3}):
        answer = server.client.post("/generate", json=sent, headers=bearer(BOUND_KEY))
        assert_error(answer, 400)
    pickled = {"content-type": "application/vnd.bentoml+pickle", **bearer(BASE_KEY)}
    answer = server.client.post("/generate", content=b"\x80\x04.", headers=pickled)
    assert_error(answer, 415)


def test_a_native_caller_that_goes_away_leaves_nothing_running(server: Server) -> None:
    body = {"prompt": PROMPT, "seed": 99}
    with contextlib.suppress(httpx.TimeoutException):
        server.client.post("/generate", json=body, headers=bearer(BASE_KEY), timeout=0.02)
    until = time.monotonic() + SERVER_TIMEOUT_S
    while True:
        text = server.client.get("/metrics", headers=bearer(BASE_KEY)).text
        if 'palimpsest_jobs{kind="video",status="in_progress"} 0.0' in text:
            break
        assert time.monotonic() < until
        time.sleep(0.05)


def test_curl_gets_a_clip_with_ranges(server: Server, tmp_path: Path) -> None:
    def curl(*arguments: str) -> str:
        return subprocess.run(
            ["curl", "-sS", "-H", f"Authorization: Bearer {BASE_KEY}", *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=SERVER_TIMEOUT_S,
        ).stdout

    with openai_client(server) as client:
        video = client.videos.create_and_poll(prompt=PROMPT, extra_body={"steps": 1})
    url = f"{server.url}/v1/videos/{video.id}/content"
    file = tmp_path / "clip.mp4"
    curl("-o", str(file), url)
    assert clip.decode_mp4(file.read_bytes()).shape[0] == 4
    assert "206" in curl("-o", "/dev/null", "-D", "-", "-r", "0-9", url).splitlines()[0]
    assert "content-length" in curl("-I", url).lower()


def vllm_omni_form(**fields: str) -> dict[str, tuple[None, str]]:
    """Return a multipart form as vLLM-Omni's documentation shows it."""
    every = {
        "prompt": PROMPT,
        "user": "somebody",
        "width": "64",
        "height": "64",
        "num_frames": "4",
        "fps": "8",
        "num_inference_steps": "2",
        "guidance_scale": "2.0",
        "negative_prompt": "blurry",
        "seed": "5",
        **fields,
    }
    return {name: (None, value) for name, value in every.items()}


def test_a_client_of_vllm_omni_finds_its_way(server: Server) -> None:
    client, key = server.client, bearer(BASE_KEY)
    created = client.post("/v1/videos", files=vllm_omni_form(), headers=key).json()
    assert created["status"] == "queued"
    assert isinstance(created["created_at"], int)
    done = wait_for(client, f"/v1/videos/{created['id']}", key=BASE_KEY)
    assert (done["status"], done["size"], done["seconds"]) == ("completed", "64x64", "0.5")
    content = client.get(f"/v1/videos/{created['id']}/content", headers=key)
    now = client.post("/v1/videos/sync", files=vllm_omni_form(), headers=key)
    assert now.status_code == 200, now.text
    assert now.headers["content-type"] == "video/mp4"
    assert {"x-request-id", "x-model", "x-inference-time-s"} <= set(now.headers)
    frames = clip.decode_mp4(now.content)
    assert frames.shape == (4, 64, 64, 3)
    np.testing.assert_array_equal(frames, clip.decode_mp4(content.content))
    listed = client.get("/v1/videos", headers=key).json()
    assert {created["id"], now.headers["x-video-id"]} <= {one["id"] for one in listed["data"]}
    deleted = client.delete(f"/v1/videos/{created['id']}", headers=key).json()
    assert (deleted["id"], deleted["deleted"]) == (created["id"], True)
    refused = client.post("/v1/videos/sync", files=vllm_omni_form(lora="{}"), headers=key)
    assert_error(refused, 400, says="lora")


def test_a_caller_that_waits_and_goes_away_cancels_its_video(server: Server) -> None:
    client, key = server.client, bearer(BASE_KEY)
    before = client.get("/v1/videos?limit=1", headers=key).json()["first_id"]
    form = vllm_omni_form(num_inference_steps="100", num_frames="16")
    with contextlib.suppress(httpx.TimeoutException):
        client.post("/v1/videos/sync", files=form, headers=key, timeout=0.5)
    until = time.monotonic() + SERVER_TIMEOUT_S
    while client.get("/v1/videos?limit=1", headers=key).json()["first_id"] != before:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_probes_pages_and_metrics_are_answered(server: Server) -> None:
    for path in ("/livez", "/readyz", "/healthz", "/health", "/", "/docs", "/openapi.json"):
        assert server.client.get(path).status_code == 200, path
    page = server.client.get("/docs").text
    assert "/static_content/swagger-ui-bundle.js" in page
    assert server.client.get("/static_content/swagger-ui-bundle.js").status_code == 200
    for path in ("/docs.json", "/schema.json", "/metrics", "/v1/models"):
        assert_error(server.client.get(path), 401)
    text = server.client.get("/metrics", headers=bearer(BASE_KEY)).text
    assert 'route="/generate"' in text
    assert 'route="/v1/videos/{video_id}"' in text


def test_without_keys_no_port_but_loopbacks_is_opened(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PALIMPSEST_BACKBONE": str(quick_backbone_dir),
        "PALIMPSEST_DATA_DIR": str(tmp_path / "data"),
    }
    command = [sys.executable, "-m", "bentoml", "serve", "service:Palimpsest", "--port", str(port)]
    for host in ("0.0.0.0", "::"):
        refused = subprocess.run(
            [*command, "--host", host],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SERVER_TIMEOUT_S,
        )
        assert refused.returncode != 0
        assert "PALIMPSEST_KEYS_FILE" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_importing_the_service_loads_nothing_that_can_wait() -> None:
    late = {"torch", "marking.signing_key", "unlearn.settings"}
    code = f"import service, sys; print(sorted({late} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.check_output(command, cwd=ROOT, text=True, timeout=SERVER_TIMEOUT_S)
    assert loaded == "[]\n"
