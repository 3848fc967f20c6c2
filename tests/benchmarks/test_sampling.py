"""The sampler makes what the engine makes, and undoes its edits of the denoiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.forgetting.baselines.cross_attention import cross_attention
from benchmarks.forgetting.intervention import Intervention, edited
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.harness import harness
from tests.benchmarks.help import embed, same, weights_of
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone


@pytest.mark.parametrize(("negative", "guidance"), [("", None), ("a cat", 9.0)])
def test_sample_is_what_the_engine_makes(negative: str, guidance: float | None) -> None:
    with harness() as running:
        capabilities = running.backbone.capabilities
        request = GenerationRequest(
            "pogo in a meadow",
            negative,
            seed=7,
            steps=capabilities.steps_default,
            guidance=guidance or capabilities.guidance_default,
            frames=None,
        )
        by_engine = running.generate([request], "engine")[0]
        by_us, other = (
            sample(
                running.backbone,
                [SampleRequest("pogo in a meadow", seed, negative, guidance)],
                is_video=False,
            )[0]
            for seed in (7, 8)
        )
    assert np.array_equal(by_us, by_engine)
    assert not np.array_equal(other, by_engine)


@pytest.mark.parametrize("is_video", [False, True])
def test_an_edit_is_seen_while_sampling_and_undone_after(
    backbone: Backbone, is_video: bool
) -> None:
    shots = [SampleRequest("pogo at night", 1)]
    before, weights = sample(backbone, shots, is_video=is_video), weights_of(backbone)
    edit = {name: -2 * tensor for name, tensor in cross_attention(backbone).items()}
    by = Intervention("test", "pogo", "character", denoiser=edit)
    during = sample(backbone, shots, is_video=is_video, intervention=by)
    assert not np.array_equal(during[0], before[0])
    assert same(weights_of(backbone), weights)
    assert np.array_equal(sample(backbone, shots, is_video=is_video)[0], before[0])


def test_an_edit_is_undone_when_its_block_fails(backbone: Backbone) -> None:
    weights = weights_of(backbone)
    denoiser = backbone.denoiser(is_video=False).network
    edit = {name: tensor + 1 for name, tensor in cross_attention(backbone).items()}

    def fail() -> None:
        with edited(denoiser, edit):
            assert not same(weights_of(backbone), weights)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert same(weights_of(backbone), weights)


def test_an_edit_of_what_the_model_lacks_is_refused_before_anything_is_done(
    backbone: Backbone,
) -> None:
    weights = weights_of(backbone)
    edit = {name: tensor + 1 for name, tensor in cross_attention(backbone).items()}
    block = edited(backbone.denoiser(is_video=False).network, {**edit, "nowhere": torch.zeros(1)})
    with pytest.raises(KeyError, match="nowhere"):
        block.__enter__()
    assert same(weights_of(backbone), weights)


def test_each_way_to_intervene_reaches_the_picture(backbone: Backbone) -> None:
    shots = [SampleRequest("pogo at night", 1)]
    plain = sample(backbone, shots, is_video=False)[0]
    base = backbone.text_encoder.parameters()
    name = next(name for name in base if "mlp.fc1.weight" in name)
    for change in (
        {"overrides": {name: -base[name]}},
        {"rewrite": lambda prompt: (prompt, "pogo")},
        {"rewrite": lambda _: ("a cactus", "")},
    ):
        by = Intervention("test", "pogo", "character", **change)  # type: ignore[arg-type]
        assert not np.array_equal(
            sample(backbone, shots, is_video=False, intervention=by)[0], plain
        )
    fed = sample(backbone, shots, is_video=False, embed=lambda _: embed(backbone, "a cactus"))[0]
    renamed = Intervention("test", "", "", rewrite=lambda _: ("a cactus", ""))
    assert np.array_equal(fed, sample(backbone, shots, is_video=False, intervention=renamed)[0])
