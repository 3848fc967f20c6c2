"""The trial of an encoder: it chooses the next probes until the gate's questions are answered.

    trial = Trial(judging_plan(concepts, …), concepts, gate)
    while probes := trial.next_round():
        trial.tell([outcome_of(probe, base, encoder, judge) for probe, base, encoder in …])
    failures = gate.failures(trial.measures())

Each question is a sequential test (`unlearn.trial.sequential`), or has stages in which its interval
supports the answer (`unlearn.trial.stages`), as the gate says. For each concept: does the base
show it often enough, and is it gone from those clips? For the others together: are too many lost?
For each near concept: are more lost than chance explains? A group of probes whose questions are
answered gets no more probes. The trial ends as soon as one answer is no, or none can be yes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from encoders import Concept
from unlearn.trial.gate import Gate
from unlearn.trial.measures import measures_of
from unlearn.trial.outcomes import Outcome
from unlearn.trial.probes import Group, Probe, ProbePlan
from unlearn.trial.sequential import BETA, Verdict, exceeds, verdict
from unlearn.trial.stages import staged_verdict, too_many

Decision = Literal["clear", "at the limit"]
"""The way in which a trial ended: by clear answers, or by the rates once all probes were asked."""


class Trial:
    """The outcomes so far, and the verdicts that follow from them.

    By intervals, an encoder with a rate beyond its limit passes with a probability of at most
    `sequential.ALPHA`, and of one within its limits nothing is promised. By the sequential test, an
    encoder with an unacceptable rate passes as "clear" with a probability of at most
    `sequential.ALPHA`, since it has to pass all tests. An encoder whose rates are all acceptable
    fails as "clear" with a probability of at most `sequential.BETA`, since the tests share that
    error (Bonferroni). A decision "at the limit" goes by the rates and has no such guarantee.
    """

    def __init__(self, plan: ProbePlan, concepts: Sequence[Concept], gate: Gate) -> None:
        """Start a trial; `concepts` are those that `plan` was made for."""
        self._plan = plan
        self._concepts = concepts
        self._gate = gate
        self._groups: list[Group] = list(dict.fromkeys(probe.group for probe in plan.probes))
        self._sizes = Counter(probe.group for probe in plan.probes)
        self._near = sum(group is not None and len(group) == 3 for group in self._groups)
        self._beta = BETA / (2 * len(concepts) + 1)
        self._rounds = 0
        self._outcomes: list[Outcome] = []

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """The outcomes of all probes so far, in their order."""
        return self._outcomes

    @property
    def most(self) -> int:
        """The number of probes in the end if no further answer becomes clear. It never rises."""
        return len(self._outcomes) + len(self._left())

    @property
    def decision(self) -> Decision | None:
        """The decision; None while the trial goes on."""
        if not self._outcomes:
            return None
        verdicts = list(self._verdicts().values())
        if "fail" in verdicts or all(verdicts):
            return "clear"
        return None if self._left() else "at the limit"

    def next_round(self) -> tuple[Probe, ...]:
        """Return the probes to make and judge now, for `tell`; none once the trial is decided."""
        if self.decision is not None:
            return ()
        return tuple(probe for probe in self._left() if probe.round == self._rounds)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of the probes of `next_round()`, in their order.

        Raises:
            ValueError: they are the outcomes of other probes.
        """
        if [outcome.probe for outcome in outcomes] != list(self.next_round()):
            raise ValueError("these are not the outcomes of the probes to be asked now")
        self._outcomes += outcomes
        self._rounds += 1

    def measures(self) -> dict[str, Any]:
        """Return `measures_of` the outcomes, and the `decision`."""
        return {**measures_of(self._outcomes, self._concepts), "decision": self.decision}

    def _left(self) -> list[Probe]:
        """List the probes that may still be asked: the later rounds of the open groups."""
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
        left = self._sizes[group] - len(own)
        if group is None:
            return self._kept(own, left)
        if len(group) == 3:
            return self._near_kept(own, left)
        shown = [outcome for outcome in own if outcome.by_base]
        answers = {
            verdict(len(own) - len(shown), len(own), 1 - self._gate.min_base_rate, beta=self._beta),
            self._test(
                sum(outcome.by_encoder for outcome in shown),
                len(shown),
                left,
                1 - self._gate.min_forget_rate,
            ),
            self._led(own, left),
        }
        if "fail" in answers:
            return "fail"
        return None if None in answers else "pass"

    def _kept(self, own: Sequence[Outcome], left: int) -> Verdict | None:
        """Test the share of pairs in which the encoder loses what the base shows.

        The gate's drop is this share less the share of pairs in which only the encoder shows the
        concept. It is never larger, so to pass the test is to pass the gate. To fail, the drop
        itself has to be above its limit too, unless intervals decide.
        """
        lost = sum(outcome.by_base and not outcome.by_encoder for outcome in own)
        gained = sum(outcome.by_encoder and not outcome.by_base for outcome in own)
        answer = self._test(lost, len(own), left, self._gate.max_retain_drop)
        if self._gate.by_interval:
            return answer
        is_above = exceeds(lost - gained, len(own), self._gate.max_retain_drop)
        return None if answer == "fail" and not is_above else answer

    def _near_kept(self, own: Sequence[Outcome], left: int) -> Verdict | None:
        """Tell if a near concept has lost too many, or cannot do so any more.

        The number is that of all its probes, so that it makes no difference when one looks.
        """
        limit = self._gate.max_neighbour_drop
        if limit >= 1:
            return None if left else "pass"
        lost = sum(outcome.by_base and not outcome.by_encoder for outcome in own)
        critical = too_many(len(own) + left, limit, looks=self._near)
        if lost >= critical:
            return "fail"
        return "pass" if lost + left < critical else None

    def _led(self, own: Sequence[Outcome], left: int) -> Verdict | None:
        """Tell if too many clips show another concept, whatever the probes that are left show."""
        redirected = sum(outcome.redirected_to is not None for outcome in own)
        limit = self._gate.max_redirected_rate
        return "fail" if exceeds(redirected, len(own) + left, limit) else "pass"

    def _test(self, misses: int, n: int, left: int, limit: float) -> Verdict | None:
        if self._gate.by_interval:
            return staged_verdict(misses, n, left, limit)
        return verdict(misses, n, limit, beta=self._beta)
