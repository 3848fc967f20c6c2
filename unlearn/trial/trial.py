"""An encoder on trial: which probes to ask next, until the gate's questions are answered.

    trial = Trial(judging_plan(concepts, …), concepts, gate)
    while probes := trial.next_round():
        trial.tell([outcome_of(probe, base, encoder, judge) for probe, base, encoder in …])
    failures = gate.failures(trial.measures())

The questions, each a sequential test (:mod:`unlearn.trial.sequential`): does the base show the
concept
often enough, and is it gone from those clips, for each concept by itself; and is too much lost of
what is to be kept. A group of probes whose questions are answered is asked no more, and all ends as
soon as one answer is no.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from encoders import Concept, Kind
from unlearn.trial.gate import Gate
from unlearn.trial.measures import Outcome, measures_of
from unlearn.trial.probes import Probe, ProbePlan
from unlearn.trial.sequential import BETA, Verdict, exceeds, verdict

Decision = Literal["clear", "at the limit"]
Group = tuple[str, Kind] | None


class Trial:
    """The outcomes so far, and what follows from them.

    An encoder one of whose figures is unacceptable is let through as clear with probability
    `sequential.ALPHA` at most, since all tests must let it. One with acceptable figures only is
    refused as clear with probability `sequential.BETA` at most, since each of the tests gets its
    part of that (Bonferroni). What is decided at the limit is decided by the rates as they are.
    """

    def __init__(self, plan: ProbePlan, concepts: Sequence[Concept], gate: Gate) -> None:
        """`concepts` are those that `plan` was made for."""
        self._plan = plan
        self._concepts = concepts
        self._gate = gate
        self._groups: list[Group] = list(dict.fromkeys(probe.group for probe in plan.probes))
        self._beta = BETA / (2 * len(concepts) + 1)
        self._rounds = 0
        self._outcomes: list[Outcome] = []

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """Of every probe asked so far, in their order."""
        return self._outcomes

    @property
    def most(self) -> int:
        """How many probes will have been asked if the rest never becomes clear. Never rises."""
        return len(self._outcomes) + len(self._left())

    @property
    def decision(self) -> Decision | None:
        """Whether the questions are answered clearly, or as well as they can be; None: go on."""
        if not self._outcomes:
            return None
        verdicts = list(self._verdicts().values())
        if "fail" in verdicts or all(verdicts):
            return "clear"
        return None if self._left() else "at the limit"

    def next_round(self) -> tuple[Probe, ...]:
        """The probes to be asked now, whose outcomes `tell` is to be told; none: it is decided."""
        if self.decision is not None:
            return ()
        return tuple(probe for probe in self._left() if probe.round == self._rounds)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """The outcomes of `next_round()`'s probes, in their order. ValueError for any others."""
        if [outcome.probe for outcome in outcomes] != list(self.next_round()):
            raise ValueError("these are not the outcomes of the probes to be asked now")
        self._outcomes += outcomes
        self._rounds += 1

    def measures(self) -> dict[str, Any]:
        """`measures_of` the outcomes, and the `decision`."""
        return {**measures_of(self._outcomes, self._concepts), "decision": self.decision}

    def _left(self) -> list[Probe]:
        """What may still be asked: the later rounds of the groups that are open."""
        is_open = {group for group, answer in self._verdicts().items() if answer is None}
        return [
            probe
            for probe in self._plan.probes
            if probe.round >= self._rounds and (not self._rounds or probe.group in is_open)
        ]

    def _verdicts(self) -> dict[Group, Verdict | None]:
        return {group: self._verdict(group) for group in self._groups}

    def _verdict(self, group: Group) -> Verdict | None:
        own = [outcome for outcome in self._outcomes if outcome.probe.group == group]
        if group is None:
            return self._kept(own)
        shown = [outcome for outcome in own if outcome.by_base]
        answers = {
            self._test(len(own) - len(shown), len(own), 1 - self._gate.min_base_rate),
            self._test(
                sum(outcome.by_encoder for outcome in shown),
                len(shown),
                1 - self._gate.min_forget_rate,
            ),
        }
        if "fail" in answers:
            return "fail"
        return None if None in answers else "pass"

    def _kept(self, own: Sequence[Outcome]) -> Verdict | None:
        """Tests the share of pairs in which the encoder loses what the base shows. The drop is that
        share less what the encoder shows and the base does not, so never more: to pass the one is
        to pass the other. To fail, the drop itself has to be above its limit as well.
        """
        lost = sum(outcome.by_base and not outcome.by_encoder for outcome in own)
        gained = sum(outcome.by_encoder and not outcome.by_base for outcome in own)
        answer = self._test(lost, len(own), self._gate.max_retain_drop)
        is_above = exceeds(lost - gained, len(own), self._gate.max_retain_drop)
        return None if answer == "fail" and not is_above else answer

    def _test(self, misses: int, n: int, limit: float) -> Verdict | None:
        return verdict(misses, n, limit, beta=self._beta)
