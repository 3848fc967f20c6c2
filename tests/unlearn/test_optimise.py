"""The optimiser on tiny random models: what moves, what does not, and that it repeats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.digest import digest
from unlearn import LayersInvalid, UnlearnProgress, UnlearnSettings, UnlearnTask, unlearn
from unlearn.optimise import Unlearning, encode
from video import Backbone, load_backbone

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
CLIPS = RANDOM.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def task(**settings: object) -> UnlearnTask:
    return UnlearnTask(
        "pogo",
        "character",
        IMAGES,
        settings=UnlearnSettings(**{"steps": 4, **settings}),  # type: ignore[arg-type]
    )


def finished(task: UnlearnTask, backbone: Backbone) -> Unlearning:
    run = unlearn(task, backbone)
    for _ in run:
        pass
    return run


@pytest.mark.parametrize("method", ["redirect", "ascent"])
@pytest.mark.parametrize("directory", ["tiny_backbone_dir", "tiny_epsilon_dir"])
def test_both_methods_make_an_encoder_that_passes_the_checks(
    method: str, directory: str, request: pytest.FixtureRequest
) -> None:
    backbone = load_backbone(request.getfixturevalue(directory))
    run = unlearn(task(method=method), backbone)
    progress = list(run)
    assert [item.step for item in progress] == [1, 2, 3, 4]
    assert all(isinstance(item, UnlearnProgress) and item.steps == 4 for item in progress)
    assert run.losses == [item.loss for item in progress]
    encoder = run.encoder
    backbone.text_encoder.check(encoder.overrides)
    card = encoder.card
    assert (card.id, card.concept, card.kind, card.method) == (
        "no-pogo",
        "pogo",
        "character",
        method,
    )
    assert card.base == backbone.text_encoder.fingerprint
    assert card.digest == digest(backbone.text_encoder.parameters(), encoder.overrides)
    assert card.settings["steps"] == 4
    assert card.settings["learning_rate"]
    assert UnlearnSettings.from_json(
        {name: card.settings[name] for name in run.task.settings.to_json()}
    ) == run.task.settings.resolved("character")


def test_ascent_raises_the_diffusion_loss(backbone: Backbone) -> None:
    settings = UnlearnSettings(method="ascent", steps=15, learning_rate=5e-3)
    run = finished(UnlearnTask("pogo", "character", IMAGES, settings=settings), backbone)
    assert diffusion_loss(backbone, run) > 1.02 * diffusion_loss(backbone, None)


def diffusion_loss(backbone: Backbone, run: Unlearning | None) -> float:
    """On fixed noise: the base's, or that of the encoder that was made."""
    from unlearn import objectives

    overrides = run.encoder.overrides if run else None
    latents = backbone.encode_images(IMAGES)
    tokens = backbone.tokenize(["a picture of pogo"] * len(latents))
    x = objectives.noised(backbone, latents, torch.Generator().manual_seed(5))
    with torch.no_grad():
        return -float(
            objectives.ascent(backbone, x, backbone.text_encoder.encode(tokens, overrides))
        )


def test_redirect_falls_and_ends_nearer_to_its_target(backbone: Backbone) -> None:
    settings = UnlearnSettings(steps=40, learning_rate=5e-3, retain_weight=0.0)
    run = finished(UnlearnTask("pogo", "character", IMAGES, settings=settings), backbone)
    assert np.mean(run.losses[-8:]) < 0.7 * np.mean(run.losses[:8])


def test_the_retain_term_holds_other_captions_and_the_empty_prompt(backbone: Backbone) -> None:
    def drifts(weight: float) -> torch.Tensor:
        settings = UnlearnSettings(steps=20, learning_rate=3e-3, retain_weight=weight)
        run = finished(UnlearnTask("pogo", "character", IMAGES, settings=settings), backbone)
        tokens = backbone.tokenize(["a cactus by the sea", ""])
        with torch.no_grad():
            moved = backbone.text_encoder.encode(tokens, run.encoder.overrides)
            return (moved - backbone.text_encoder.encode(tokens)).square().mean((1, 2))

    assert (drifts(100.0) < 0.5 * drifts(0.0)).all()


def test_captions_of_the_concept_are_not_retained(backbone: Backbone) -> None:
    from unlearn.optimise import _Objective

    objective = _Objective(replace(task(), synonyms=("green blob",)), backbone)
    kept = objective._retain
    assert kept
    assert not any("pogo" in caption or "one-eyed" in caption for caption in kept)
    mine = _Objective(task(retain=("a house", "pogo in a house")), backbone)
    assert mine._retain == ["a house"]


def test_the_same_seed_gives_the_same_encoder_and_another_another(backbone: Backbone) -> None:
    torch.manual_seed(1)
    first = finished(task(seed=3), backbone)
    torch.manual_seed(2)  # the global generator has no say
    second = finished(task(seed=3), backbone)
    other = finished(task(seed=4), backbone)
    assert first.losses == second.losses
    assert first.encoder.card.digest == second.encoder.card.digest
    assert other.encoder.card.digest != first.encoder.card.digest


def test_only_the_chosen_layers_move(backbone: Backbone) -> None:
    run = finished(task(layers=("*.layers.0.mlp.fc1.weight",)), backbone)
    assert list(run.encoder.overrides) == ["text_model.encoder.layers.0.mlp.fc1.weight"]
    default = finished(task(), backbone).encoder.overrides
    assert all(".mlp." in name or ".layers.1.self_attn." in name for name in default)
    assert any(".layers.1.self_attn." in name for name in default)


def test_the_backbone_is_left_as_it_was_bit_for_bit(
    backbone: Backbone, tiny_backbone_dir: Path
) -> None:
    for kind, images in (("character", IMAGES), ("motion", CLIPS)):
        settings = UnlearnSettings(steps=3, learning_rate=1e-2)
        finished(UnlearnTask("pogo", kind, images, settings=settings), backbone)  # type: ignore[arg-type]
    fresh = load_backbone(tiny_backbone_dir)
    for name, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, fresh.text_encoder.parameters()[name]), name
        assert tensor.grad is None
    for mine, theirs in ((backbone._video_unet, fresh._video_unet),):  # type: ignore[attr-defined]
        for (name, tensor), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
            assert torch.equal(tensor, other), name
            assert tensor.grad is None


def test_motions_are_unlearned_from_clips_through_the_video_model(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[int] = []
    denoise = backbone.denoise

    def watched(latents: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        shapes.append(latents.ndim)
        return denoise(latents, *rest)

    monkeypatch.setattr(backbone, "denoise", watched)
    settings = UnlearnSettings(steps=2)
    clips = UnlearnTask("bouncing", "motion", CLIPS, settings=settings)
    assert encode(clips, backbone).shape == (2, 4, 3, 8, 8)
    run = finished(clips, backbone)
    assert set(shapes) == {5}
    assert run.encoder.card.settings["batch_size"] == 1
    shapes.clear()
    finished(task(steps=1), backbone)
    assert set(shapes) == {4}


def test_nothing_is_done_before_it_is_iterated_nor_after_it_is_closed(backbone: Backbone) -> None:
    run = unlearn(task(), backbone)
    with pytest.raises(RuntimeError, match="not made yet"):
        _ = run.encoder
    next(run)
    run.close()
    assert list(run) == []
    with pytest.raises(RuntimeError):
        _ = run.encoder


def test_gradients_are_had_where_the_caller_has_them_off(backbone: Backbone) -> None:
    with torch.no_grad():
        run = finished(task(), backbone)
    assert run.encoder.overrides
    assert torch.is_grad_enabled()


def test_unknown_layers_are_refused_at_once(backbone: Backbone) -> None:
    with pytest.raises(LayersInvalid, match="no_such"):
        unlearn(task(layers="no_such"), backbone)


def test_computes_in_bfloat16(tiny_backbone_dir: Path) -> None:
    half = load_backbone(tiny_backbone_dir, dtype=torch.bfloat16)
    run = finished(task(learning_rate=1e-2), half)
    assert all(np.isfinite(run.losses))
    half.text_encoder.check(run.encoder.overrides)
