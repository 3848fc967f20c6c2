"""The optimiser on small models: what it changes, what it leaves, and that it repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders import Concept, Encoder, EncoderInvalid, Kind, low_rank
from encoders.digest import digest, fingerprint
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.errors import LayersInvalid
from unlearn.methods import objectives
from unlearn.methods.optimise import Unlearning
from unlearn.methods.redirect import Redirect
from unlearn.task import UnlearnProgress
from video import load_backbone
from video.models.backbone import Backbone
from video.models.denoiser import Denoiser

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
CLIPS = RANDOM.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


@pytest.fixture(scope="module")
def starter() -> Backbone:
    return load_backbone(Path(__file__).parents[2] / "starter" / "weights")


# Default attackers are too strong for a run this short.
SHORT = UnlearnSettings(steps=20, adversary_weight=6.0)


def task(
    concept_name: str = "pogo",
    kind: Kind = "character",
    *,
    parent: Encoder | None = None,
    synonyms: tuple[str, ...] = (),
    **settings: object,
) -> UnlearnTask:
    chosen = UnlearnSettings(**{"steps": 4, **settings})  # type: ignore[arg-type]
    images = (CLIPS if kind == "motion" else IMAGES,) if chosen.method == "ascent" else ()
    wanted = Concept(name=concept_name, kind=kind, synonyms=synonyms)
    return UnlearnTask((wanted,), chosen, images, parent=parent)


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
    assert (card.id, card.method) == ("no-pogo", method)
    assert card.concepts == (Concept(name="pogo", kind="character"),)
    assert card.base == backbone.text_encoder.fingerprint
    assert card.digest == digest(backbone.text_encoder.parameters(), encoder.overrides)
    assert card.stored == fingerprint(encoder.overrides)
    factors = [name for name in encoder.overrides if name.endswith(low_rank.A)]
    assert bool(factors) == (method == "redirect")
    assert all(len(encoder.overrides[name]) == 2 for name in factors)
    assert card.settings["steps"] == 4
    assert card.settings["learning_rate"]
    assert (
        UnlearnSettings.from_json(
            {name: card.settings[name] for name in run.task.settings.to_json()}
        )
        == run.task.settings.resolved()
    )


def test_ascent_raises_the_diffusion_loss(backbone: Backbone) -> None:
    run = finished(task(method="ascent", steps=15, learning_rate=5e-3), backbone)
    assert diffusion_loss(backbone, run) > 1.02 * diffusion_loss(backbone, None)


def diffusion_loss(backbone: Backbone, run: Unlearning | None) -> float:
    """Return the diffusion loss on fixed noise, of the base or of the encoder that was made."""
    overrides = run.encoder.overrides if run else None
    denoiser = backbone.denoiser(is_video=False)
    latents = denoiser.encode(IMAGES)
    prompts = ["a picture of pogo"] * len(latents)
    x = objectives.noised(denoiser, latents, torch.Generator().manual_seed(5))
    with torch.no_grad():
        return -float(objectives.ascent(denoiser, x, backbone.embed(prompts, overrides)))


def test_redirect_ends_near_its_anchor_in_sentences_it_never_saw(starter: Backbone) -> None:
    run = finished(task(steps=40, adversary_weight=0.0), starter)
    assert np.mean(run.losses[-5:]) < 0.75 * np.mean(run.losses[:3])
    assert shift(starter, run.encoder, "pogo") < 0.75
    assert shift(starter, run.encoder, "blip") > 0.9


def shift(backbone: Backbone, encoder: Encoder, name: str) -> float:
    """Return the distance of a name's embeddings to its anchor's, as a share of the base's."""
    tokens = backbone.tokenize([f"look, {name} on the sand", "look, creature on the sand"])
    with torch.no_grad():
        before = backbone.text_encoder.encode(tokens)
        after = backbone.text_encoder.encode(tokens, encoder.overrides)
    return float((after[0] - before[1]).norm() / (before[0] - before[1]).norm())


def test_the_retain_term_holds_other_captions_and_the_empty_prompt(backbone: Backbone) -> None:
    def drifts(weight: float) -> torch.Tensor:
        run = finished(task(steps=20, learning_rate=3e-2, retain_weight=weight), backbone)
        tokens = backbone.tokenize(["a cactus by the sea", ""])
        with torch.no_grad():
            moved = backbone.text_encoder.encode(tokens, run.encoder.overrides)
            return (moved - backbone.text_encoder.encode(tokens)).square().mean((1, 2))

    assert (drifts(100.0) < 0.5 * drifts(0.0)).all()


def test_captions_of_the_concept_are_not_retained(backbone: Backbone) -> None:
    kept = Redirect(task(synonyms=("green blob",)), backbone)._retention.captions
    assert kept
    assert not any("pogo" in caption or "one-eyed" in caption for caption in kept)
    mine = Redirect(task(retain=("a house", "pogo in a house")), backbone)
    assert mine._retention.captions == ["a house"]


def test_the_same_seed_gives_the_same_encoder_and_another_another(backbone: Backbone) -> None:
    torch.manual_seed(1)
    first = finished(task(seed=3), backbone)
    torch.manual_seed(2)  # the global generator is not used
    second = finished(task(seed=3), backbone)
    other = finished(task(seed=4), backbone)
    assert first.losses == second.losses
    assert first.encoder.card.digest == second.encoder.card.digest
    assert other.encoder.card.digest != first.encoder.card.digest


def test_only_the_chosen_layers_move(backbone: Backbone) -> None:
    run = finished(task(layers=("*.layers.0.mlp.fc1.weight",)), backbone)
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    assert set(run.encoder.overrides) == {name + low_rank.A, name + low_rank.B}
    default = finished(task(), backbone).encoder.overrides
    assert all(".mlp." in name or ".layers.1.self_attn." in name for name in default)
    assert any(".layers.1.self_attn." in name for name in default)


def test_the_backbone_stays_the_same_bit_for_bit(
    backbone: Backbone, tiny_backbone_dir: Path
) -> None:
    for method in ("redirect", "ascent"):
        for kind in ("character", "motion"):
            finished(task("pogo", kind, method=method, learning_rate=1e-2), backbone)  # type: ignore[arg-type]
    fresh = load_backbone(tiny_backbone_dir)
    for name, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, fresh.text_encoder.parameters()[name]), name
        assert tensor.grad is None
    for is_video in (True, False):
        mine, theirs = (b.denoiser(is_video).network for b in (backbone, fresh))
        for (name, tensor), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
            assert torch.equal(tensor, other), name
            assert tensor.grad is None


def test_ascent_unlearns_motions_from_clips_through_the_video_model(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[int] = []
    predict = Denoiser.predict

    def watched(self: Denoiser, latents: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        shapes.append(latents.ndim)
        return predict(self, latents, *rest)

    monkeypatch.setattr(Denoiser, "predict", watched)
    assert backbone.denoiser(is_video=True).encode(CLIPS).shape == (2, 4, 3, 8, 8)
    finished(task("bouncing", "motion", method="ascent"), backbone)
    assert set(shapes) == {5}
    shapes.clear()
    finished(task(method="ascent"), backbone)
    assert set(shapes) == {4}
    shapes.clear()
    finished(task(), backbone)
    assert not shapes  # a redirection calls no denoiser


def test_a_run_works_only_while_it_is_iterated(backbone: Backbone) -> None:
    run = unlearn(task(), backbone)
    with pytest.raises(RuntimeError, match="not made yet"):
        _ = run.encoder
    next(run)
    run.close()
    assert list(run) == []
    with pytest.raises(RuntimeError):
        _ = run.encoder


def test_a_run_enables_gradients_where_the_caller_disabled_them(backbone: Backbone) -> None:
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
    assert len(run.losses) == 4
    assert all(np.isfinite(run.losses))
    half.text_encoder.check(run.encoder.overrides)


@pytest.mark.slow
def test_several_concepts_share_an_encoder(starter: Backbone) -> None:
    both = tuple(Concept(name=name, kind="character") for name in ("pogo", "zumi"))
    run = finished(UnlearnTask(both, SHORT), starter)
    card = run.encoder.card
    assert (card.id, card.concepts) == ("no-pogo-zumi", both)
    assert len(run.losses) == 40  # the steps are each concept's
    ranks = {len(part) for name, part in run.encoder.overrides.items() if low_rank.A in name}
    assert ranks == {2 * 2}  # each has its own
    assert all(shift(starter, run.encoder, name) < 0.75 for name in ("pogo", "zumi"))
    assert shift(starter, run.encoder, "blip") > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 0])
def test_a_child_keeps_what_its_parent_forgot(starter: Backbone, rank: int) -> None:
    rate = {1: 2e-2, 0: 1e-3}[rank]
    first = finished(task("pogo", steps=20, rank=rank, learning_rate=rate), starter).encoder
    child = finished(task("zumi", parent=first, **SHORT.model_dump()), starter).encoder
    assert child.card.parent == "no-pogo"
    assert [concept.name for concept in child.card.concepts] == ["pogo", "zumi"]
    starter.text_encoder.check(child.overrides)
    assert shift(starter, first, "zumi") > 0.9
    assert shift(starter, child, "zumi") < 0.75
    assert shift(starter, child, "pogo") < shift(starter, first, "pogo") + 0.1
    factors = {len(part) for name, part in child.overrides.items() if low_rank.A in name}
    assert factors == ({1 + 2} if rank else set())  # factors on whole tensors become part of them


def test_a_parent_of_another_base_is_refused(backbone: Backbone) -> None:
    parent = finished(task(), backbone).encoder
    stranger = parent.card.model_copy(update={"base": "sha256:" + "0" * 64})
    with pytest.raises(EncoderInvalid, match="another text encoder"):
        unlearn(task("blip", parent=Encoder(stranger, parent.overrides)), backbone)


def test_factors_need_a_matrix(backbone: Backbone) -> None:
    with pytest.raises(LayersInvalid, match="names none"):
        unlearn(task(layers="*.mlp.fc1.bias"), backbone)
    whole = finished(task(layers="*.mlp.fc1.bias", rank=0), backbone).encoder
    assert whole.overrides
    assert all(name.endswith("fc1.bias") for name in whole.overrides)
