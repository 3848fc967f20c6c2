"""Goal F10: the sets of concepts, their prompts, and the figures of a row."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import pytest

from benchmarks.forgetting.baselines.cross_attention import cross_attention
from benchmarks.forgetting.baselines.edited_tokens import edited_tokens
from benchmarks.forgetting.baselines.uce import uce_edit
from benchmarks.forgetting.cases import Group
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.many import (
    COUNTS,
    MEMBERS,
    ROWS,
    ManySizes,
    Members,
    kept_of,
    many,
    members_of,
)
from benchmarks.forgetting.set_plots import COSTS, PANELS, save_curves, save_plot
from benchmarks.results import rate
from encoders import Kind
from encoders.overrides_file import to_bytes
from tests.benchmarks.help import embed, made, same
from unlearn.prompts import all_names, mentions
from video.models.backbone import Backbone

POGO: list[tuple[str, Kind]] = [("pogo", "character")]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return Experiment(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def starter(experiment: Experiment) -> Backbone:
    return experiment.backbone


def test_sets_are_nested_and_of_all_kinds(starter: Backbone) -> None:
    sets = [members_of(count, starter.prompts) for count in COUNTS]
    assert [len(set(one)) for one in sets] == list(COUNTS)
    assert all(large[: len(small)] == small for small, large in pairwise(sets))
    assert len({kind for _, kind in sets[0]}) == COUNTS[0]
    assert {kind for _, kind in sets[-2]} == set(starter.prompts.concepts)
    assert len(MEMBERS) == COUNTS[-1]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("group", ["same kind", "other kinds"])
def test_kept_prompts_name_no_concept_of_the_set(
    starter: Backbone, count: int, group: Group
) -> None:
    members = members_of(count, starter.prompts)
    names = [name for one, kind in members for name in all_names(one, kind, (), starter.prompts)]
    for concept, kind in members:
        cases = list(islice(kept_of((concept, kind), members, group, starter), 20))
        assert len({(case.prompt, case.seed) for case in cases}) == 20
        assert not [case for case in cases if mentions(case.prompt, names)]
        assert not {case.concept for case in cases} & {name for name, _ in members}
        assert all((case.kind == kind) == (group == "same kind") for case in cases)


def test_uce_of_one_concept_is_the_baseline(backbone: Backbone) -> None:
    assert same(uce_edit(backbone, POGO), dict(made(backbone, "UCE", *POGO[0]).denoiser))


@pytest.mark.parametrize("row", ["UCE", "SPEED"])
def test_closed_forms_take_every_concept_of_a_set_to_its_own_word(
    experiment: Experiment, row: str
) -> None:
    members: Members = [*POGO, ("mira", "person")]
    found = ROWS[row](experiment, members)
    assert (found.method, found.overrides) == (row, None)
    assert found.seconds > 0
    before = cross_attention(experiment.backbone)
    each = [edited_tokens(experiment.backbone, [one]) for one in members]
    kept = edited_tokens(experiment.backbone, members).preserved.T
    start = embed(experiment.backbone, "")[0, 0]
    for name in (name for name in found.denoiser if "to_v" in name):
        w0, w = before[name], found.denoiser[name]
        for tokens in each:
            was = (w0 @ (tokens.edited - tokens.destination).T).norm()
            assert (w @ tokens.edited.T - w0 @ tokens.destination.T).norm() < 0.6 * was
        if row == "UCE":
            assert ((w - w0) @ kept).norm() < 0.1 * (w0 @ kept).norm()
        else:  # SPEED's invariant
            assert ((w - w0) @ start).norm() < 1e-4 * (w0 @ start).norm()


def unchanged(experiment: Experiment, members: Members) -> Intervention:
    """Make an encoder that changes nothing, as a row of ours could be."""
    name, weight = next(iter(experiment.backbone.text_encoder.parameters().items()))
    return Intervention("unchanged", "", "", overrides={name: weight.clone()}, seconds=2.0)


def test_any_function_of_a_set_is_a_row(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS, "unchanged", unchanged)  # type: ignore[arg-type]
    sizes = ManySizes(target=1, target_motions=1, kept=1, kept_motions=1)
    whole = many(experiment, sizes, [1], ["unchanged"])["1"]
    assert whole["concepts"] == [MEMBERS[0]]
    found = whole["methods"]["unchanged"]
    assert found["UA"] == found["UA, least"] == found["UA, by concept"][MEMBERS[0]] == rate(0, 1)
    for group in ("same kind", "other kinds", "valid"):
        assert found[f"lost, {group}"]["mean"] == 0
    assert found["kept, same kind"] == found["kept, same kind, base"]
    assert found["harmonic"] == 0
    tensors = unchanged(experiment, []).tensors
    assert (found["seconds"], found["bytes"]) == (2.0, len(to_bytes(tensors)))
    monkeypatch.setattr("benchmarks.forgetting.outcomes.sample", None)  # no more pictures
    assert many(experiment, sizes, [1], ["unchanged"])["1"] == whole


def test_the_plot_has_a_line_for_each_method(tmp_path: Path) -> None:
    figures = {key: rate(9, 10) for key in PANELS.values()} | dict.fromkeys(COSTS.values(), 3)
    found = {
        str(count): {"concepts": [], "methods": {"UCE": figures, "SPEED": figures}}
        for count in COUNTS
    }
    assert save_plot(found, tmp_path).read_bytes().startswith(b"\x89PNG")


def test_the_curves_have_a_line_for_each_set(tmp_path: Path) -> None:
    found = {k: {"identity by θ": {"0.5": rate(8, 10), "1": rate(9, 10)}} for k in ("2", "4")}
    assert save_curves(found, tmp_path).read_bytes().startswith(b"\x89PNG")
