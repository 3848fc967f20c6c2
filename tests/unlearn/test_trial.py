"""The trial: what is asked next, and when it is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders import Concept
from tests.unlearn.help import NEONIX, POGO, plan
from unlearn.trial.gate import Gate
from unlearn.trial.outcomes import Outcome
from unlearn.trial.probes import ROUND, Probe
from unlearn.trial.sequential import ALPHA, BETA, zone
from unlearn.trial.trial import Trial
from video.models.prompt_book import PromptBook

Answer = Callable[[Probe], tuple[bool, bool]]
"""A probe → the judge's answers for the base's clip and for the encoder's."""


def trial(book: PromptBook, *concepts: Concept, gate: Gate | None = None) -> Trial:
    gate = gate or Gate()
    concepts = concepts or (POGO,)
    return Trial(plan(book, *concepts, gate=gate), concepts, gate)


def go(under_way: Trial, answer: Answer) -> list[Sequence[Probe]]:
    """Ask until it is decided; returns the rounds."""
    rounds: list[Sequence[Probe]] = []
    while probes := under_way.next_round():
        rounds.append(probes)
        under_way.tell([Outcome(probe, *answer(probe)) for probe in probes])
    return rounds


def perfect(probe: Probe) -> tuple[bool, bool]:
    return True, not probe.is_target


def test_a_good_encoder_is_let_through_after_three_rounds(book: PromptBook) -> None:
    under_way = trial(book)
    rounds = go(under_way, perfect)
    assert [len(probes) for probes in rounds] == [2 * ROUND] * 3
    measures = under_way.measures()
    assert measures["decision"] == "clear"
    assert (measures["forget_n"], measures["retain_n"]) == (12, 12)
    assert Gate().failures(measures) == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda probe: (True, True), "'pogo' is gone from only 0%"),
        (lambda probe: (True, False), "Other concepts are lost"),
        (lambda probe: (not probe.is_target, not probe.is_target), "The base shows 'pogo' in only"),
    ],
)
def test_a_bad_one_is_refused_after_the_first(book: PromptBook, answer: Answer, says: str) -> None:
    under_way = trial(book)
    (probes,) = go(under_way, answer)
    assert any(probe.base.frames is not None for probe in probes if probe.is_target)
    assert any(probe.base.frames is not None for probe in probes if not probe.is_target)
    assert under_way.decision == "clear"
    assert says in Gate().failures(under_way.measures())[0]


def test_every_concept_has_to_pass_by_itself(book: PromptBook) -> None:
    under_way = trial(book, POGO, NEONIX)
    go(under_way, lambda probe: (True, not probe.is_target or probe.concept == "neonix"))
    assert under_way.decision == "clear"
    (failure,) = Gate().failures(under_way.measures())
    assert "'neonix'" in failure


def test_only_what_is_open_is_asked_on(book: PromptBook) -> None:
    """Of neonix, one miss in the first round: it takes longer, and the rest is not asked again."""
    under_way = trial(book, POGO, NEONIX)
    missed: list[Probe] = []

    def answer(probe: Probe) -> tuple[bool, bool]:
        if probe.concept == "neonix" and probe.is_target and not missed:
            missed.append(probe)
            return True, True
        return perfect(probe)

    rounds = go(under_way, answer)
    assert [len(probes) for probes in rounds] == [3 * ROUND] * 3 + [ROUND] * 3
    assert {probe.group for probe in rounds[-1]} == {("neonix", "style")}
    assert Gate().failures(under_way.measures()) == []


def test_what_the_base_does_not_show_is_no_evidence(book: PromptBook) -> None:
    """Half of the targets are not shown by the base, so it takes twice as many."""
    under_way = trial(book, gate=Gate(min_base_rate=0.2))
    shown: list[bool] = []

    def answer(probe: Probe) -> tuple[bool, bool]:
        if not probe.is_target:
            return True, True
        shown.append(not (shown and shown[-1]))
        return shown[-1], False

    go(under_way, answer)
    assert under_way.decision == "clear"
    own = under_way.measures()["concepts"]["pogo"]
    assert (own["base_n"], own["n"], own["forget_rate"]) == (24, 12, 1.0)


def test_what_is_not_clear_at_the_limit_is_decided_by_the_rates(book: PromptBook) -> None:
    for misses, passes in ((1, True), (2, False)):
        under_way, left = trial(book, gate=Gate(max_probes=10)), [misses]

        def answer(probe: Probe, left: list[int] = left) -> tuple[bool, bool]:
            if probe.is_target and left[0]:
                left[0] -= 1
                return True, True
            return perfect(probe)

        rounds = go(under_way, answer)
        assert sum(map(len, rounds)) == 20
        assert under_way.decision == "at the limit"
        assert (Gate().failures(under_way.measures()) == []) == passes


def test_gains_make_up_for_losses_and_never_for_a_clear_answer(book: PromptBook) -> None:
    """As many are lost as are gained: chance, not a drop."""
    under_way, number = trial(book), [0]

    def answer(probe: Probe) -> tuple[bool, bool]:
        if probe.is_target:
            return True, False
        number[0] += 1
        return (True, False) if number[0] % 2 else (False, True)

    go(under_way, answer)
    assert under_way.decision == "at the limit"
    assert under_way.measures()["retain_drop"] == 0.0


def test_a_gate_that_lets_all_through_still_looks_once(book: PromptBook) -> None:
    open_gate = Gate(min_forget_rate=0.0, max_retain_drop=1.0, min_base_rate=0.0)
    under_way = trial(book, gate=open_gate)
    assert under_way.decision is None
    (probes,) = go(under_way, lambda probe: (False, False))
    assert len(probes) == 2 * ROUND
    assert open_gate.failures(under_way.measures()) == []


def test_only_the_outcomes_that_were_asked_for_are_taken(book: PromptBook) -> None:
    under_way = trial(book)
    probes = under_way.next_round()
    with pytest.raises(ValueError, match="not the outcomes"):
        under_way.tell([Outcome(probe, True, True) for probe in probes[1:]])
    assert under_way.next_round() == probes


rates = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.9, 0.97, 1.0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.builds(Gate, rates, rates, rates, st.integers(1, 40)),
    st.lists(rates, min_size=4, max_size=4),
    st.integers(0, 2**32),
)
def test_whatever_is_seen_it_ends_and_the_answer_fits_the_measures(
    book: PromptBook, gate: Gate, chances: list[float], seed: int
) -> None:
    random = np.random.default_rng(seed)
    under_way = trial(book, POGO, NEONIX, gate=gate)
    asked: list[Probe] = []
    most = under_way.most
    assert most == 3 * gate.max_probes
    while probes := under_way.next_round():
        asked += probes
        under_way.tell(
            [
                Outcome(
                    probe,
                    bool(random.random() < chances[0 if probe.is_target else 1]),
                    bool(random.random() < chances[2 if probe.is_target else 3]),
                )
                for probe in probes
            ]
        )
        assert len(asked) <= under_way.most <= most
        most = under_way.most
    assert len(asked) == len(set(asked))
    assert [outcome.probe for outcome in under_way.outcomes] == asked
    assert {probe.group for probe in asked if probe.round == 0} == {
        ("pogo", "character"),
        ("neonix", "style"),
        None,
    }
    if under_way.decision == "at the limit":
        per_group = [sum(p.group == group for p in asked) for group in {p.group for p in asked}]
        assert max(per_group) == gate.max_probes
    # Told the same again, as after a kill, it asks the same again.
    again = trial(book, POGO, NEONIX, gate=gate)
    known = {outcome.probe: outcome for outcome in under_way.outcomes}
    while probes := again.next_round():
        again.tell([known[probe] for probe in probes])
    assert again.measures() == under_way.measures()


def test_the_errors_of_the_whole_trial_are_those_stated(book: PromptBook) -> None:
    """Simulate encoders with one unacceptable rate, and with all rates just acceptable.

    The first may pass, and the second may fail, no more often than stated, as far as it is clear.
    """
    random = np.random.default_rng(3)
    acceptable, unacceptable = zone(0.1)
    made, runs = plan(book, POGO), 300
    for missed, lost, wrong, most in (
        (unacceptable, 0.0, True, ALPHA),
        (0.0, unacceptable, True, ALPHA),
        (acceptable, acceptable, False, BETA),
    ):
        count = 0
        for _ in range(runs):
            under_way = Trial(made, [POGO], Gate())
            go(under_way, chance(random, missed, lost))
            passes = Gate().failures(under_way.measures()) == []
            count += under_way.decision == "clear" and passes == wrong
        # Three standard errors of the simulation itself.
        assert count / runs <= most + 3 * (most * (1 - most) / runs) ** 0.5


def chance(random: np.random.Generator, missed: float, lost: float) -> Answer:
    """Answer for an encoder that misses, and loses, this share of what the base shows."""

    def answer(probe: Probe) -> tuple[bool, bool]:
        is_wrong = bool(random.random() < (missed if probe.is_target else lost))
        return True, is_wrong == probe.is_target

    return answer
