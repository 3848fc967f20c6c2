"""Calibration: the directions and thresholds between other captions and the concept's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from encoders import Concept, Encoder
from encoders.trigger import Trigger
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.methods import calibration
from unlearn.methods.anchors import concept_captions
from unlearn.methods.calibration import (
    MOST,
    MOST_OTHERS,
    OWN_MARGIN,
    ROOM,
    calibrate,
    discriminant,
)
from unlearn.prompts import names_of, retained_captions
from video import load_backbone
from video.models.backbone import Backbone

POGO = Concept(name="pogo", kind="character")
HOUSE = Concept(name="house", kind="object")
QUICK = UnlearnSettings(steps=6, learning_rate=0.1)


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def made(backbone: Backbone, task: UnlearnTask) -> Encoder:
    run = unlearn(task, backbone)
    list(run)
    return run.encoder


def trigger_of(encoder: Encoder) -> Trigger:
    assert encoder.card.trigger is not None
    return encoder.card.trigger


@torch.no_grad()
def moved(
    backbone: Backbone, prompts: Sequence[str], overrides: Mapping[str, Tensor], trigger: Trigger
) -> list[float]:
    detector, encode = trigger.detector(), backbone.text_encoder.encode
    return [
        detector.movement(encode(row), encode(row, overrides))
        for row in backbone.tokenize(prompts).split(1)
    ]


def test_an_encoder_is_made_with_a_trigger_for_each_concept(backbone: Backbone) -> None:
    trigger = trigger_of(made(backbone, UnlearnTask((POGO, HOUSE), QUICK)))
    assert len(trigger.concepts) == 2
    assert len({one.directions for one in trigger.concepts}) == 2


def test_its_own_captions_open_it_with_a_margin(backbone: Backbone) -> None:
    task = UnlearnTask((POGO,), QUICK)
    encoder = made(backbone, task)
    captions = [caption.prompt for caption in concept_captions(POGO, task, backbone)]
    own = moved(backbone, captions[:32], encoder.overrides, trigger_of(encoder))
    assert min(own) >= OWN_MARGIN * 0.75  # the calibration draws captions of its own


def test_retained_captions_keep_it_closed_where_both_can_be_had(backbone: Backbone) -> None:
    """If not, forgetting comes first: the threshold is as low as the concept demands."""
    encoder = made(backbone, UnlearnTask((POGO,), QUICK))
    trigger = trigger_of(encoder)
    others = retained_captions(backbone.prompts, names_of(POGO, backbone.prompts))
    elsewhere = moved(backbone, others, encoder.overrides, trigger)
    task = UnlearnTask((POGO,), QUICK)
    captions = [caption.prompt for caption in concept_captions(POGO, task, backbone)]
    own = moved(backbone, captions, encoder.overrides, trigger)
    is_lowered = min(own) <= OWN_MARGIN + 1e-3 or trigger.concepts[0].theta == MOST
    far = torch.tensor(elsewhere).quantile(MOST_OTHERS)
    assert far <= 1 / ROOM + 1e-3 or is_lowered


def test_a_longer_change_than_retained_captions_have_opens_it(backbone: Backbone) -> None:
    encoder = made(backbone, UnlearnTask((POGO,), QUICK))
    others = retained_captions(backbone.prompts, names_of(POGO, backbone.prompts))
    tokens = backbone.tokenize(others[:512])
    with torch.no_grad():
        base = backbone.text_encoder.encode(tokens)
        change = backbone.text_encoder.encode(tokens, encoder.overrides) - base
    [one] = trigger_of(encoder).concepts
    length = float(change.square().sum(2).amax(1).quantile(MOST_OTHERS))
    assert one.length == pytest.approx(ROOM * length, rel=1e-3)


def test_a_single_caption_that_moves_far_does_not_decide(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = UnlearnTask((POGO,), QUICK.with_(retain=tuple(f"a house, {n}" for n in range(400))))
    encoder = made(backbone, task)
    [before] = trigger_of(encoder).concepts
    encode = backbone.text_encoder.encode

    def with_one_far(tokens: Tensor, overrides: Mapping[str, Tensor] | None = None) -> Tensor:
        read = encode(tokens, overrides or {})
        far = (tokens == backbone.tokenize(["a house, 7"])).all(1)
        return read + 100 * far[:, None, None] if overrides else read

    monkeypatch.setattr(backbone.text_encoder, "encode", with_one_far)
    trigger = calibrate(task, backbone, encoder.overrides)
    assert trigger is not None
    [one] = trigger.concepts
    assert one.length is not None
    assert before.length is not None
    assert one.length < 1.5 * before.length
    monkeypatch.setattr(calibration, "MOST_OTHERS", 1.0)
    decided = calibrate(task, backbone, encoder.overrides)
    assert decided is not None
    assert (decided.concepts[0].length or 0) > 100 * before.length


def test_no_threshold_is_above_a_tenth_of_the_concepts_own_movement(backbone: Backbone) -> None:
    """Three steps move everything alike, so without the bound others would decide."""
    encoder = made(backbone, UnlearnTask((POGO, HOUSE), QUICK))
    trigger = trigger_of(encoder)
    others = retained_captions(backbone.prompts, names_of(POGO, backbone.prompts))
    assert max(moved(backbone, others, encoder.overrides, trigger)) > 1
    assert all(one.theta <= MOST == 0.1 for one in trigger.concepts)


@pytest.mark.parametrize("retained", ["a house by the sea", "mira at night"])
def test_captions_that_a_task_retains_decide(backbone: Backbone, retained: str) -> None:
    encoder = made(backbone, UnlearnTask((POGO,), QUICK))
    trigger = calibrate(
        UnlearnTask((POGO,), QUICK.with_(retain=(retained,))), backbone, encoder.overrides
    )
    assert trigger is not None
    [movement] = moved(backbone, [retained], encoder.overrides, trigger)
    assert movement <= 1 / ROOM + 1e-3
    assert trigger != trigger_of(encoder)


def test_a_child_has_the_triggers_of_its_parents_concepts_too(backbone: Backbone) -> None:
    parent = made(backbone, UnlearnTask((POGO,), QUICK, encoder_id="no-pogo"))
    child = made(backbone, UnlearnTask((HOUSE,), QUICK, parent=parent))
    assert len(trigger_of(child).concepts) == len(child.card.concepts) == 2


def test_ascent_has_no_trigger() -> None:
    assert QUICK.method_spec.has_trigger
    assert not QUICK.with_(method="ascent").method_spec.has_trigger


def test_the_discriminant_prefers_what_is_quiet_elsewhere() -> None:
    """Of two directions that the concept moves along alike, the one that others do not."""
    signal = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    noise = torch.diag(torch.tensor([1.0, 0.01, 0.5, 0.5, 0.5, 0.5], dtype=torch.float64))
    directions = discriminant(signal, noise)
    seen = directions.square().sum(0)
    assert seen[1] > 5 * seen[0]
    gain = torch.einsum("rd,de,re->r", directions.double(), noise, directions.double())
    assert (gain <= 1 + 1e-6).all()  # whitened: others move by about 1 along each direction


def test_the_discriminant_works_without_anything_to_keep() -> None:
    signal = torch.diag(torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))
    found = discriminant(signal, torch.zeros((3, 3), dtype=torch.float64))
    assert torch.isfinite(found).all()
