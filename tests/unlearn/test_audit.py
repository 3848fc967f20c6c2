"""Audits: new probes without end, and a verdict that repeated looking does not spoil."""

from __future__ import annotations

from random import Random

import pytest

from encoders import EncoderRef
from tests.unlearn.help import CAPABILITIES, ENCODER, NEONIX, POGO, FakeJudge, plan
from unlearn.prompts import trained_prompts
from unlearn.trial.audit import ALPHA, AuditCounts, audit_failures, audit_measures
from unlearn.trial.audit_plan import AuditPlan, new_wordings
from unlearn.trial.gate import Gate
from unlearn.trial.outcomes import Outcome
from video.models.prompt_book import PromptBook


def audit_plan(book: PromptBook, encoder: EncoderRef = ENCODER) -> AuditPlan:
    return AuditPlan(
        (POGO, NEONIX),
        encoder=encoder,
        judge=FakeJudge(),
        book=book,
        capabilities=CAPABILITIES,
        judged=32,
    )


def counts_after(plan: AuditPlan, number: int, *, missed: float, lost: float) -> AuditCounts:
    """Count probes of an encoder that misses and loses so much, where the base shows all."""
    draw, counts = Random(f"{missed} {lost}"), AuditCounts()
    for i in range(number):
        probe = plan.probe(i)
        fails = draw.random() < (missed if probe.is_target else lost)
        counts = counts.added(Outcome(probe, by_base=True, by_encoder=fails == probe.is_target))
    return counts


def test_every_group_has_its_turn_and_every_probe_is_the_same_again(book: PromptBook) -> None:
    asked = audit_plan(book)
    assert asked.round == 3
    probes = [asked.probe(i) for i in range(30)]
    assert [probe.group for probe in probes[:4]] == [
        ("pogo", "character"),
        ("neonix", "style"),
        None,
        ("pogo", "character"),
    ]
    assert probes == [audit_plan(book).probe(i) for i in range(30)]
    assert any(probe.same_kind for probe in probes if not probe.is_target)
    assert any(probe.base.frames for probe in probes)
    assert not all(probe.base.frames for probe in probes)


def test_seeds_and_wordings_are_new(book: PromptBook) -> None:
    probes = [audit_plan(book).probe(i) for i in range(300)]
    judged = plan(book, POGO, NEONIX).probes
    seeds = [probe.base.seed for probe in probes]
    assert len(set(seeds)) == len(seeds)
    assert {seed >> 61 for seed in seeds} == {1}
    assert not set(seeds) & {probe.base.seed for probe in judged}
    targets = {p.base.prompt for p in probes if p.is_target and p.concept == "pogo"}
    assert len(targets) >= 3
    assert not targets & {probe.base.prompt for probe in judged if probe.is_target}
    assert not targets & (trained_prompts(POGO, book) | trained_prompts(NEONIX, book))
    other = audit_plan(book, EncoderRef("other", "sha256:" + "1" * 64))
    assert other.probe(0).base.seed != probes[0].base.seed


def test_without_captions_the_seeds_alone_are_new() -> None:
    empty = PromptBook()
    prompts = {prompt for prompt, *_ in new_wordings(POGO, empty, 32)}
    assert prompts
    assert not prompts & trained_prompts(POGO, empty)


@pytest.mark.parametrize(
    ("missed", "lost", "says"),
    [
        (1.0, 0.0, "is gone from 0%"),
        (0.5, 0.0, "so surely from less than 90%"),
        (0.0, 1.0, "Other concepts are lost from 100%"),
    ],
)
def test_a_broken_encoder_fails(book: PromptBook, missed: float, lost: float, says: str) -> None:
    counts = counts_after(audit_plan(book), 120, missed=missed, lost=lost)
    failures = audit_failures(audit_measures(counts, (POGO, NEONIX)), Gate())
    assert any(says in failure for failure in failures), failures


def test_a_plainly_broken_one_fails_after_few_probes(book: PromptBook) -> None:
    counts = counts_after(audit_plan(book), 12, missed=1, lost=0)
    assert audit_failures(audit_measures(counts, (POGO, NEONIX)), Gate())
    lost = counts_after(audit_plan(book), 36, missed=0, lost=1)
    assert audit_failures(audit_measures(lost, (POGO, NEONIX)), Gate())


def test_an_encoder_at_the_gate_is_hardly_ever_failed(book: PromptBook) -> None:
    asked = [audit_plan(book).probe(i) for i in range(180)]
    failed, runs = 0, 30
    for run in range(runs):
        draw, counts = Random(run), AuditCounts()
        for i, probe in enumerate(asked, 1):
            fails = draw.random() < 0.1
            counts = counts.added(Outcome(probe, True, fails == probe.is_target))
            if i % 30 == 0 and audit_failures(audit_measures(counts, (POGO, NEONIX)), Gate()):
                failed += 1
                break
    assert failed <= ALPHA * runs + 3


def test_clips_in_which_the_base_shows_nothing_say_nothing_of_forgetting(book: PromptBook) -> None:
    counts = AuditCounts()
    for i in range(30):
        counts = counts.added(Outcome(audit_plan(book).probe(i), by_base=False, by_encoder=False))
    measures = audit_measures(counts, (POGO, NEONIX))
    assert measures["forgotten"] == {"rate": None, "interval": (0, 1), "n": 0}
    assert measures["concepts"]["pogo (character)"]["asked"] == 10
    assert audit_failures(measures, Gate()) == []


def test_counts_come_back_as_they_were_stored(book: PromptBook) -> None:
    counts = counts_after(audit_plan(book), 20, missed=0.3, lost=0.3)
    assert AuditCounts.of_json(counts.to_json()) == counts
    assert counts.asked == 20


def test_gates_at_their_ends_fail_nobody_by_themselves(book: PromptBook) -> None:
    perfect = audit_measures(counts_after(audit_plan(book), 60, missed=0, lost=0), (POGO, NEONIX))
    assert audit_failures(perfect, Gate(min_forget_rate=1.0, max_retain_drop=0.0)) == []
    worst = audit_measures(counts_after(audit_plan(book), 60, missed=1, lost=1), (POGO, NEONIX))
    assert audit_failures(worst, Gate(min_forget_rate=0.0, max_retain_drop=1.0)) == []
