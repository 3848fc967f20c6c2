"""New words that draw a concept's pictures: their learning, and the loss that they cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders import Concept
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.errors import TaskInvalid
from unlearn.methods import inversion
from unlearn.methods.anchor_rows import Anchors
from unlearn.methods.inversion import BY_BASE, STEP_EVERY, WORDS, Inversion
from video import load_backbone
from video.models.backbone import Backbone

POGO, BLIP = (Concept(name=name, kind="character") for name in ("pogo", "blip"))
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
NONE = np.zeros((0, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def words(backbone: Backbone, images: np.ndarray = IMAGES, *, is_video: bool = False) -> Inversion:
    anchors = Anchors(POGO, UnlearnTask((POGO,)), backbone)
    return Inversion(anchors, images, is_video, backbone, torch.Generator().manual_seed(0))


def task(*images: np.ndarray, concepts: tuple[Concept, ...] = (POGO,), **changes: object):
    settings = UnlearnSettings.from_json({"steps": 3, "batch_size": 2} | changes)
    return UnlearnTask(concepts, settings, images)


def test_the_words_are_learned_from_the_pictures_through_the_denoiser(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one picture at a fixed noise, the diffusion loss of what they say falls."""
    monkeypatch.setattr(inversion, "RESTART_EVERY", 1e9)
    monkeypatch.setattr(inversion, "STEP_EVERY", 1)
    lost: list[float] = []
    plain = inversion.objectives.ascent

    def noted(denoiser: object, x: object, said: torch.Tensor) -> torch.Tensor:
        loss = plain(denoiser, x, said)  # type: ignore[arg-type]
        lost.append(-loss.item())
        return loss

    fixed = inversion.objectives.noised

    def same(denoiser: object, latents: torch.Tensor, _: object) -> object:
        return fixed(denoiser, latents, torch.Generator().manual_seed(1))  # type: ignore[arg-type]

    monkeypatch.setattr(inversion.objectives, "ascent", noted)
    monkeypatch.setattr(inversion.objectives, "noised", same)
    held = words(backbone, IMAGES[:1])
    for _ in range(40):
        held({})
    assert np.mean(lost[-5:]) < np.mean(lost[:5])


def test_its_loss_moves_the_encoder_and_nothing_of_the_base(backbone: Backbone) -> None:
    held = words(backbone)
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    before = {n: t.clone() for n, t in backbone.text_encoder.parameters().items()}
    override = before[name].clone().requires_grad_()
    held({name: override}).backward()
    assert override.grad is not None
    assert override.grad.any()
    parameters = [
        *backbone.text_encoder.parameters().values(),
        *backbone.denoiser(is_video=False).network.parameters(),
    ]
    assert all(parameter.grad is None for parameter in parameters)
    for n, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, before[n]), n


def test_some_words_draw_the_pictures_for_the_base(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder that reads nothing at all teaches the other words nothing."""
    monkeypatch.setattr(inversion, "RESTART_EVERY", 1e9)
    name = "text_model.final_layer_norm.weight"
    deaf = torch.zeros_like(backbone.text_encoder.parameters()[name])
    held = words(backbone)
    before = held._words.detach().clone()
    held({name: deaf})
    moved = (held._words.detach() != before).any(1).tolist()
    assert moved == [True] * BY_BASE + [False] * (WORDS - BY_BASE)


def test_no_word_grows_longer_than_the_longest_of_the_vocabulary(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inversion, "LEARNING_RATE", 50.0)
    monkeypatch.setattr(inversion, "STEP_EVERY", 1)
    held = words(backbone)
    for _ in range(5):
        held({})
    longest = backbone.text_encoder.parameters()[backbone.text_encoder.token_embedding]
    assert held._words.norm(dim=-1).max() <= longest.norm(dim=1).max() + 1e-4


def test_the_words_step_every_few_steps_of_the_encoder(backbone: Backbone) -> None:
    held = words(backbone)
    moved: list[bool] = []
    for _ in range(2 * STEP_EVERY):
        before = held._words.detach().clone()
        held({})
        moved.append(not torch.equal(held._words, before))
    assert moved == [i % STEP_EVERY == 0 for i in range(2 * STEP_EVERY)]


def test_clips_are_taken_one_at_a_time(backbone: Backbone) -> None:
    clips = np.random.default_rng(1).integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
    held = words(backbone, clips, is_video=True)
    before = held._words.detach().clone()
    assert torch.isfinite(held({}))
    moved = (held._words.detach() != before).any(1)
    assert 1 <= int(moved.sum()) < WORDS


def test_pictures_change_the_encoder_and_may_be_missing_for_some_concepts(
    backbone: Backbone,
) -> None:
    def digest(*images: np.ndarray) -> str:
        run = unlearn(task(*images, concepts=(POGO, BLIP)), backbone)
        list(run)
        return run.encoder.card.digest

    without, partly, wholly = digest(), digest(IMAGES, NONE), digest(IMAGES, IMAGES)
    assert len({without, partly, wholly}) == 3
    assert digest(NONE, NONE) == without


def test_a_task_has_pictures_for_each_concept_or_none_at_all() -> None:
    with pytest.raises(TaskInvalid, match="2 set"):
        task(IMAGES, concepts=(POGO, BLIP))
    with pytest.raises(TaskInvalid, match="no images"):
        task(NONE, method="ascent")
