"""The rows of ours in goal F10: composed, merged, at once and in a chain."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from benchmarks.forgetting import sets
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.many import ROWS, TRAINED
from benchmarks.forgetting.set_pictures import OTHERS, contact_sheet
from benchmarks.forgetting.sets import at_once, chain, composed_of, merged_of, single
from tests.benchmarks.conftest import MEMBERS
from tests.benchmarks.help import embed
from unlearn import UnlearnSettings


def test_a_composed_set_embeds_as_the_server_does(prepared: Experiment) -> None:
    made = composed_of(prepared, MEMBERS)
    assert made.seconds == 100.0

    def by(prompt: str) -> torch.Tensor:
        return made.embed(prepared.backbone, [prompt])

    pogo, dottie = (single(prepared, *one) for one in MEMBERS)
    for prompt in ("a teapot in a meadow", ""):
        assert torch.equal(by(prompt), embed(prepared.backbone, prompt))
    prompt = "pogo in a meadow"
    assert torch.equal(by(prompt), pogo.embed(prepared.backbone, [prompt]))
    both = "pogo in a meadow, in the style of dottie"
    base = embed(prepared.backbone, both)
    changes = [one.embed(prepared.backbone, [both]) - base for one in (pogo, dottie)]
    assert torch.allclose(by(both), base + changes[0] + changes[1], atol=1e-4)
    assert len(made.tensors) == len(pogo.tensors) + len(dottie.tensors) + 2


def test_sets_that_differ_in_a_threshold_are_told_apart(prepared: Experiment) -> None:
    first = composed_of(prepared, MEMBERS[:1])
    assert first.tensors.keys() < composed_of(prepared, MEMBERS).tensors.keys()
    assert any(name.endswith("/trigger") for name in first.tensors)


def test_a_merge_is_one_encoder_for_all_prompts(prepared: Experiment) -> None:
    made = merged_of(prepared, MEMBERS)
    assert (made.trigger, made.denoiser) == (None, {})
    assert made.seconds > 0
    for prompt, member in (("pogo at night", 0), ("a cat, in the style of dottie", 1)):
        base = embed(prepared.backbone, prompt)
        alone = single(prepared, *MEMBERS[member]).embed(prepared.backbone, [prompt])
        merged = made.embed(prepared.backbone, [prompt])
        assert (merged - alone).norm() < 0.5 * (base - alone).norm()


@pytest.fixture
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "UnlearnSettings", partial(UnlearnSettings, steps=1))


@pytest.mark.usefixtures("one_step")
def test_a_chain_begins_at_the_first_members_encoder(prepared: Experiment) -> None:
    made = chain(prepared, MEMBERS)
    first = single(prepared, *MEMBERS[0])
    prompt = "pogo in a meadow"
    moved = [one.embed(prepared.backbone, [prompt]) for one in (first, made)]
    base = embed(prepared.backbone, prompt)
    # a step for dottie leaves pogo where its parent has it
    assert (moved[1] - moved[0]).norm() < 0.2 * (moved[0] - base).norm()
    assert made.seconds > first.seconds
    assert made.tensors.keys() >= first.tensors.keys()


@pytest.mark.usefixtures("one_step")
def test_at_once_trains_every_member_and_is_made_once(
    prepared: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = at_once(prepared, MEMBERS)
    for prompt in ("pogo in a meadow", "a cat, in the style of dottie"):
        moved = made.embed(prepared.backbone, [prompt])
        assert not torch.equal(moved, embed(prepared.backbone, prompt))
    monkeypatch.setattr(sets, "encoder_of", None)
    again = at_once(prepared, MEMBERS)
    assert all(torch.equal(again.tensors[name], made.tensors[name]) for name in made.tensors)


def test_a_set_of_one_is_that_encoder(prepared: Experiment) -> None:
    one = single(prepared, *MEMBERS[0])
    for row in ("merged", "at once", "chain"):
        made = ROWS[row](prepared, MEMBERS[:1])
        assert made.trigger is None
        assert made.overrides is not None
        assert one.overrides is not None
        assert made.overrides.keys() == one.overrides.keys()
    assert set(TRAINED) < set(ROWS)


def test_a_contact_sheet_has_a_row_for_each_method(prepared: Experiment) -> None:
    sheet = contact_sheet(prepared, MEMBERS, [None, composed_of(prepared, MEMBERS)])
    side = (sheet.height - 4) // 2
    assert sheet.width == side * 2 * len(MEMBERS) + 4
    assert len(MEMBERS) <= OTHERS
    pixels = torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8)
    rows = pixels.view(sheet.height, sheet.width, 3).split([side, 4, side])
    own, others = slice(None, side * len(MEMBERS)), slice(side * len(MEMBERS) + 4, None)
    assert torch.equal(rows[0][:, others], rows[2][:, others])  # the base's, to the bit
    assert not torch.equal(rows[0][:, own], rows[2][:, own])


def test_an_encoder_by_its_trigger_leaves_other_prompts_to_the_base(prepared: Experiment) -> None:
    made = single(prepared, *MEMBERS[0])
    prompts = ["pogo in a meadow", "a teapot in a meadow"]
    always, through = (one.embed(prepared.backbone, prompts) for one in (made, made.triggered()))
    base = embed(prepared.backbone, *prompts)
    assert torch.equal(through[0], always[0])
    assert torch.equal(through[1], base[1])
    assert not torch.equal(always[1], base[1])


def test_an_intervention_without_a_trigger_cannot_go_by_one() -> None:
    with pytest.raises(ValueError, match="no trigger"):
        Intervention("UCE", "pogo", "character").triggered()
