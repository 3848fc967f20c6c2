"""The serving benchmark: its baselines do the same work as the server, and its counts are right."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from starlette.testclient import TestClient
from transformers import CLIPTextModel

from benchmarks.harness import WEIGHTS
from benchmarks.serving.baseline_servers import Strategy, app_of
from benchmarks.serving.comparison import batches
from benchmarks.serving.encoders import (
    clip_vit_l,
    large_encoder,
    name_of,
    publish,
    random_factors,
    save_whole,
)
from benchmarks.serving.load import Answer, Arrival, burst, drive, latency, poisson, throughput
from benchmarks.serving.scenario import body, prompt
from benchmarks.serving.servers import ROOT
from encoders import low_rank
from encoders.store import EncoderStore
from tests.video.help import WAIT, make_engine
from video import GenerationRequest, load_backbone
from video.clip import decode_mp4, enlarge
from video.models.backbone import Backbone

COUNT = 2


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(WEIGHTS)


@pytest.fixture(scope="module")
def store(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> EncoderStore:
    return publish(backbone.text_encoder, tmp_path_factory.mktemp("store"), COUNT)


@pytest.fixture(scope="module")
def whole(
    backbone: Backbone, store: EncoderStore, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    save_whole(backbone, store, folder, COUNT)
    return folder


def test_encoders_are_published_once_and_each_is_another(
    backbone: Backbone, store: EncoderStore, tmp_path: Path
) -> None:
    cards = store.cards()
    assert len({card.digest for card in cards}) == COUNT
    again = publish(backbone.text_encoder, tmp_path, COUNT).cards()
    assert [card.digest for card in again] == [card.digest for card in cards]


def test_large_encoders_are_of_their_true_size(backbone: Backbone, tmp_path: Path) -> None:
    shapes = {name: factor.shape for name, factor in random_factors(clip_vit_l(), 0).items()}
    assert shapes["text_model.encoder.layers.11.mlp.fc1.weight" + low_rank.A][-1] == 768
    assert shapes["text_model.encoder.layers.11.mlp.fc1.weight" + low_rank.B][0] == 3072
    store = publish(backbone.text_encoder, tmp_path, COUNT, large_encoder)
    found, expected = store.load(name_of(1)).overrides, random_factors(backbone.text_encoder, 1)
    assert set(found) == set(expected)
    backbone.text_encoder.check(found)


def test_a_whole_encoder_embeds_as_its_overrides_do(
    backbone: Backbone, store: EncoderStore, whole: Path
) -> None:
    tokens = backbone.tokenize(["pogo in a meadow"])
    for number in range(COUNT):
        overrides = store.load(name_of(number)).overrides
        module = CLIPTextModel.from_pretrained(whole / name_of(number), dtype=torch.float32)
        with torch.no_grad():
            expected = backbone.text_encoder.encode(tokens, overrides)
            base = backbone.text_encoder.encode(tokens)
            found = module(tokens).last_hidden_state
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        assert (found - base).abs().max() > 1e-3


def test_all_the_servers_make_the_same_clips(
    backbone: Backbone, store: EncoderStore, whole: Path
) -> None:
    asked = [body(number, 7, steps=2, frames=2) for number in range(COUNT)]
    engine = make_engine(backbone, store)
    engine.start()
    ours = [
        engine.submit(
            GenerationRequest(
                one["prompt"],
                encoder=store.card(one["encoder"]).ref,
                seed=7,
                steps=2,
                guidance=2.0,
                frames=2,
            )
        ).result(WAIT)
        for one in asked
    ]
    engine.stop(WAIT)
    strategies: tuple[Strategy, ...] = ("reload", "kept", "scoped")
    for strategy in strategies:
        with TestClient(app_of(strategy, whole)) as client:
            for one, expected in zip(asked, ours, strict=True):
                answer = client.post("/videos", json=one)
                assert answer.status_code == 200
                frames = decode_mp4(answer.content).astype(int)
                # H.264 rounds: the same picture, not the same bytes.
                assert np.abs(frames - enlarge(expected, (512, 512))).mean() < 4, strategy


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the server with its parent")
def test_a_killed_benchmark_leaves_no_server_running(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from benchmarks.serving import servers\n"
        "with servers.process(['sleep', '60'], {}, Path(sys.argv[1])) as server:\n"
        "    print(server.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stdout is not None
        server = psutil.Process(int(benchmark.stdout.readline()))
        assert server.is_running()
        benchmark.kill()
    deadline = time.monotonic() + 10
    with contextlib.suppress(psutil.NoSuchProcess):
        while server.status() != psutil.STATUS_ZOMBIE:  # without an init, nothing reaps it
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_requests_come_when_they_come(url: str) -> None:
    answers = drive(url, [Arrival(0.3, {}, "late"), *burst([{}, {}], "early")])
    assert [one.arrival.sort for one in answers] == ["late", "early", "early"]
    assert answers[0].ended >= 0.3
    assert max(one.seconds for one in answers) < 0.3
    assert throughput(answers) <= 3 / 0.3


def test_what_fails_is_not_counted_as_fast(url: str) -> None:
    with pytest.raises(RuntimeError, match="503"):
        drive(f"{url}/broken", burst([{}]))


def test_arrivals_are_as_many_a_second_as_was_asked() -> None:
    arrivals = poisson([{}] * 4000, 5.0, seed=1)
    assert arrivals[-1].at == pytest.approx(800, rel=0.1)
    gaps = np.diff([one.at for one in arrivals])
    assert gaps.min() >= 0
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)


def test_latencies_are_percentiles() -> None:
    answers = [Answer(Arrival(0, {}), float(i), float(i)) for i in range(101)]
    assert latency(answers) == {"mean": 50.0, "p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_batches_are_read_from_cumulated_counts() -> None:
    def counts(*values: float) -> dict[str, float]:
        edges = ("1.0", "2.0", "4.0", "+Inf")
        return {
            f'palimpsest_batch_size_bucket{{le="{edge}"}}': value
            for edge, value in zip(edges, values, strict=True)
        }

    assert batches(counts(5, 5, 5, 5), counts(8, 8, 15, 15)) == {"1": 3, "4": 7}


def test_no_prompt_is_asked_twice() -> None:
    assert len({prompt(number) for number in range(3000)}) == 3000
