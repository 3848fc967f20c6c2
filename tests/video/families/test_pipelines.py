"""Families that run as stock pipelines, through the engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from encoders.store import EncoderStore
from tests.model_zoo import ModelZoo
from tests.tiny_networks import SIDE
from tests.video.help import PROMPT, WAIT, Gate, make_engine, publish, watch
from video import Engine, GenerationRequest, load_backbone
from video.engine.ticket import Cancelled
from video.errors import NoNativeDenoiser
from video.frames import Frames
from video.models.backbone import Backbone

STEPS, FRAMES = 3, 6
FAMILIES = ["ltx", "latte", "mochi", "wan-2.2"]


def loaded(model_zoo: ModelZoo, family: str) -> Backbone:
    return load_backbone(model_zoo.model(family), size=(SIDE, SIDE))


def request(**changes: Any) -> GenerationRequest:
    return GenerationRequest(
        **{
            "prompt": PROMPT,
            "steps": STEPS,
            "frames": FRAMES,
            "guidance": 3.0,
            "seed": 5,
            **changes,
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> EncoderStore:
    return EncoderStore(tmp_path / "encoders")


@pytest.fixture
def engine(model_zoo: ModelZoo, store: EncoderStore) -> Iterator[Engine]:
    engine = make_engine(loaded(model_zoo, "ltx"), store)
    engine.start()
    yield engine
    engine.stop(WAIT)


def stock(path: Path, backbone: Backbone, overrides: Any, guidance: float) -> Frames:
    """Return a stock pipeline's frames, with the overrides in its text encoder's weights."""
    pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(path)
    pipeline.set_progress_bar_config(disable=True)
    if overrides is not None:
        for name, tensor in overrides.items():
            pipeline.text_encoder.get_parameter(name).data.copy_(tensor)
    arguments: dict[str, Any] = {"num_frames": FRAMES}
    if isinstance(pipeline, diffusers.LattePipeline):
        arguments = {"video_length": 16, "clean_caption": False}
    packed = {"LTXPipeline": 9, "MochiPipeline": 7, "WanPipeline": 9}
    if (more := packed.get(type(pipeline).__name__)) is not None:
        arguments["num_frames"] = more
    frames = pipeline(
        prompt=PROMPT,
        negative_prompt="",
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(5),
        width=SIDE,
        height=SIDE,
        output_type="np",
        **arguments,
    ).frames[0]
    return (np.asarray(frames)[:FRAMES].clip(0, 1) * 255).round().astype(np.uint8)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_frames_equal_the_stock_pipelines_with_base_and_encoder(
    model_zoo: ModelZoo, family: str, guidance: float, store: EncoderStore
) -> None:
    backbone = loaded(model_zoo, family)
    encoder = publish(store, backbone, "no-pogo", seed=1)
    overrides = store.load("no-pogo").overrides
    engine = make_engine(backbone, store)
    engine.start()
    try:
        of_base, of_encoder, again = (
            engine.submit(request(encoder=named, guidance=guidance)).result(WAIT)
            for named in (None, encoder, None)
        )
        still = engine.submit(request(frames=None, guidance=guidance)).result(WAIT)
    finally:
        engine.stop(WAIT)
    assert of_base.shape == (FRAMES, SIDE, SIDE, 3)
    assert still.shape == (1, SIDE, SIDE, 3)
    np.testing.assert_array_equal(of_base, again)
    assert (of_base != of_encoder).any()
    path = model_zoo.model(family)
    assert near(of_base, stock(path, backbone, None, guidance))
    assert near(of_encoder, stock(path, backbone, overrides, guidance))


def near(frames: Frames, others: Frames) -> bool:
    """Compare frames up to one level."""
    return frames.shape == others.shape and bool(
        np.abs(frames.astype(int) - others.astype(int)).max() <= 1
    )


def test_requests_take_turns_at_their_steps(engine: Engine) -> None:
    alone = [engine.submit(request(seed=seed)).result(WAIT) for seed in (1, 2)]
    order: list[tuple[int, float]] = []
    gate = Gate(engine)
    long, short = (engine.submit(request(seed=1, steps=12)), engine.submit(request(seed=2)))
    ended = watch(long, lambda share: order.append((1, share)))
    watch(short, lambda share: order.append((2, share)))
    gate.open()
    assert ended.wait(WAIT)
    np.testing.assert_array_equal(short.result(WAIT), alone[1])
    shares = [share for seed, share in order if seed == 2]
    assert shares == sorted(shares)
    assert len(shares) == STEPS + 2
    assert order[-1] == (1, 1.0), "the short one overtakes the long one"


def test_one_is_cancelled_at_its_schedulers_step_and_its_thread_ends(engine: Engine) -> None:
    reached = threading.Event()
    gate = Gate(engine)
    ticket = engine.submit(request(steps=90))
    watch(ticket, lambda share: reached.set() if share > 3 / 91 else None)
    gate.open()
    assert reached.wait(WAIT)
    ticket.cancel()
    with pytest.raises(Cancelled):
        ticket.result(WAIT)
    assert ticket.progress < 0.5
    engine.submit(request()).result(WAIT)  # the engine continues
    assert not [thread for thread in threading.enumerate() if thread.name == "pipeline"]


def test_what_fails_in_a_pipeline_fails_its_own_request(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.wait_ready(WAIT)
    expected = engine.submit(request()).result(WAIT)
    transformer = engine.backbone._components["transformer"]  # type: ignore[attr-defined]
    forward, calls = transformer.forward, []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("no such luck")
        return forward(*arguments, **options)

    monkeypatch.setattr(transformer, "forward", failing)
    with pytest.raises(ValueError, match="no such luck"):
        engine.submit(request()).result(WAIT)
    np.testing.assert_array_equal(engine.submit(request()).result(WAIT), expected)
    assert not [thread for thread in threading.enumerate() if thread.name == "pipeline"]


def test_learning_from_its_denoiser_is_refused(model_zoo: ModelZoo) -> None:
    with pytest.raises(NoNativeDenoiser, match="redirect"):
        loaded(model_zoo, "ltx").denoiser(is_video=False)
