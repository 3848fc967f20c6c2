"""Siblings: text encoders of other kinds, distilled from the built-in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.forgetting.attacks.vocabulary import with_rows, words
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.siblings.architectures import ROWS, SIBLINGS, WIDTH, Sibling
from benchmarks.siblings.distil import distil
from benchmarks.siblings.making import Start, start
from benchmarks.siblings.model import assemble, load_sibling
from benchmarks.siblings.pieces import rows_of
from benchmarks.siblings.plan import Plan
from encoders import Concept, low_rank
from starter.captions import caption
from starter.scene import sample_scene
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.layers import PRESETS, select
from unlearn.methods.name_tokens import leading_tokens, tokens_of

each = pytest.mark.parametrize("name", list(SIBLINGS))
PLAN = Plan(steps=8, batch=6, matrix_rate=2e-3, rate=2e-3, warmup=1)


def small(name: str) -> Sibling:
    """Return a sibling with two layers."""
    sibling = SIBLINGS[name]
    layers = "num_hidden_layers" if sibling.is_clip else "num_layers"
    return replace(sibling, options={**sibling.options, layers: 2})


@pytest.fixture(scope="module")
def starts() -> dict[str, Start]:
    return {name: start(small(name)) for name in SIBLINGS}


def test_a_word_of_the_world_is_one_piece_as_it_is_one_token(starts: dict[str, Start]) -> None:
    one, random = starts["t5-6"], np.random.default_rng(4)
    rows = rows_of(one.tokenizer, one.teacher.clip)
    for _ in range(200):
        words = caption(sample_scene(random), random)
        ours = one.teacher.clip(words).input_ids[1:-1]
        theirs = one.tokenizer(words).input_ids[:-1]
        assert rows[theirs].tolist() == ours


@each
def test_a_cut_lesson_asks_for_the_same_as_a_whole_one(starts: dict[str, Start], name: str) -> None:
    teacher = starts[name].teacher
    whole, cut = (teacher.lesson((2, 3), 4, whole=is_whole) for is_whole in (True, False))
    length = cut.ids.shape[1]
    assert length < ROWS == whole.ids.shape[1]
    assert torch.equal(whole.ids[:, :length], cut.ids)
    torch.testing.assert_close(whole.targets[:, :length], cut.targets)


def test_a_t5_is_asked_for_the_rows_of_its_own_words_and_the_end(starts: dict[str, Start]) -> None:
    one = starts["t5-6"]
    lesson = one.teacher.lesson((2, 3), 4, whole=True)
    clip = starts["clip-12"].teacher.lesson((2, 3), 4, whole=True)
    end = int(lesson.ids[0].eq(one.tokenizer.eos_token_id).int().argmax())
    torch.testing.assert_close(lesson.targets[0, : end + 1], clip.targets[0, 1 : end + 2])
    padding = lesson.targets[0, end + 1 :]
    torch.testing.assert_close(padding, lesson.targets[0, end].expand_as(padding))


@each
def test_a_sibling_is_loaded_by_its_familys_code(
    starts: dict[str, Start], name: str, tmp_path: Path
) -> None:
    sibling, one = small(name), starts[name]
    assemble(tmp_path / name, sibling, one.encoder, one.tokenizer)
    backbone = load_sibling(tmp_path / name)
    prompt = "our friend mira at night"
    found = backbone.embed([prompt])
    tokens = one.tokenizer(
        prompt, padding="max_length", max_length=ROWS, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        mask = tokens.attention_mask if sibling.masks_padding else None
        direct = one.encoder(tokens.input_ids, attention_mask=mask).last_hidden_state
    if sibling.masks_padding:
        direct *= tokens.attention_mask.unsqueeze(2)
        assert found[:, ROWS:].count_nonzero() == 0
    torch.testing.assert_close(found[:, :ROWS], direct)
    assert backbone.text_encoder.width == WIDTH
    assert leading_tokens(backbone) == int(sibling.is_clip)
    assert len(tokens_of("our friend mira", backbone)) == 3
    assert backbone.prompts.concepts["person"]


@each
def test_every_choice_of_layers_and_a_trigger_work_on_a_sibling(
    starts: dict[str, Start], name: str, tmp_path: Path
) -> None:
    one = starts[name]
    assemble(tmp_path / name, small(name), one.encoder, one.tokenizer)
    backbone = load_sibling(tmp_path / name)
    for preset in PRESETS:
        assert select(backbone.text_encoder.shapes, preset)
    settings = UnlearnSettings(steps=2, batch_size=2, retain_batch=2)
    run = unlearn(UnlearnTask((Concept(name="pogo", kind="character"),), settings), backbone)
    for _ in run:
        pass
    encoder = run.encoder
    assert encoder.card.trigger is not None
    assert all(n.endswith((low_rank.A, low_rank.B)) for n in encoder.overrides)
    now, base = (backbone.embed(["pogo at night"], o) for o in (encoder.overrides, None))
    assert (now - base).abs().max() > 0


@pytest.mark.parametrize("name", ["t5-6", "umt5"])
def test_a_t5s_model_draws_and_is_attacked_as_the_built_in_one_is(
    starts: dict[str, Start], name: str, tmp_path: Path
) -> None:
    one = starts[name]
    assemble(tmp_path / name, small(name), one.encoder, one.tokenizer)
    experiment = Experiment(tmp_path / "work", backbone=load_sibling(tmp_path / name))
    backbone = experiment.backbone
    assert experiment.work.name.startswith(f"{name}-")
    (still,) = sample(backbone, [SampleRequest("pogo at night", 1)], is_video=False)
    assert still.shape == (1, 64, 64, 3)
    found = words(backbone)
    assert {"pogo", "meadow"} <= set(found)
    base = Intervention("base", "pogo", "character")
    changed = with_rows(backbone, base, [found["pogo"]], torch.zeros(1, WIDTH))
    prompts = ["pogo at night", "mira at night"]
    moved = changed.embed(backbone, prompts) - base.embed(backbone, prompts)
    assert moved[0].abs().max() > 0
    assert moved[1].abs().max() == 0


@pytest.mark.slow
@each
def test_distillation_lowers_what_is_left(name: str, tmp_path: Path) -> None:
    begun = start(small(name))
    before = distil(begun.encoder, begun.teacher, replace(PLAN, steps=0), tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    assert distil(begun.encoder, begun.teacher, PLAN, tmp_path) < 0.95 * before


@pytest.mark.slow
def test_a_stopped_distillation_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, half, again = (start(small("umt5")) for _ in range(3))
    for folder in ("whole", "half"):
        (tmp_path / folder).mkdir()
    left = distil(whole.encoder, whole.teacher, PLAN, tmp_path / "whole")
    distil(half.encoder, half.teacher, PLAN, tmp_path / "half", stop_at=3)
    assert distil(again.encoder, again.teacher, PLAN, tmp_path / "half") == left
