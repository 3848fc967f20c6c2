"""The table of an encoder's measures."""

from __future__ import annotations

from typing import Any, cast

import pytest

from cli import show
from encoders import Concept
from unlearn.trial.measures import measures_of
from unlearn.trial.outcomes import Outcome
from unlearn.trial.probes import Probe


def outcome(*, is_target: bool, by_base: bool, by_encoder: bool) -> Outcome:
    name, clip = ("pogo" if is_target else "blip"), cast(Any, None)
    probe = Probe(name, "character", is_target, not is_target, 0, clip, clip)
    return Outcome(probe, by_base, by_encoder)


def test_the_measures_are_shown_with_what_was_needed(capsys: pytest.CaptureFixture[str]) -> None:
    seen = [(True, False)] * 5 + [(True, True)] + [(False, False)] * 2
    kept = [(True, True)] * 3 + [(True, False)]
    outcomes = [outcome(is_target=True, by_base=b, by_encoder=e) for b, e in seen]
    outcomes += [outcome(is_target=False, by_base=b, by_encoder=e) for b, e in kept]
    measures = measures_of(outcomes, [Concept(name="pogo", kind="character")])
    gate = {"min_forget_rate": 0.9, "max_retain_drop": 0.125, "min_base_rate": 0.5}
    table = show.measures_table({"measures": measures, "gate": gate})
    assert table is not None
    show.table(table)
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == "rate 95 % interval judged needed"
    assert rows[2:] == [
        "pogo: shown by the base 75 % 8 ≥ 50 %",
        "pogo: gone 83.3 % 44 to 97 % 6 ≥ 90 %",
        "other concepts: shown by the base 100 % 51 to 100 % 4",
        "other concepts: shown 75 % 30 to 95 % 4",
        "other concepts: lost 25 % 4 ≤ 12.5 %",
    ]


def test_what_was_not_judged_has_no_table() -> None:
    assert show.measures_table({"measures": {}, "gate": {}}) is None
